/// What the compute threads have done so far, as the metrics counted it.
package struct PassStatistics: Sendable {
    package var passCount = 0
    package var realTokenCount = 0
    package var rectangleTokenCount = 0
    package var computedTokenCount = 0

    package init() {}

    init(_ registry: PrometheusRegistry) {
        let tokens = { (kind: String) in
            Int(registry.value(of: "ovenbird_tokens_total", dimensions: [("kind", kind)]) ?? 0)
        }
        passCount = Int(registry.value(of: "ovenbird_passes_total") ?? 0)
        realTokenCount = tokens("real")
        rectangleTokenCount = tokens("rectangle")
        computedTokenCount = tokens("computed")
    }

    /// Rectangle over real tokens; 1 where nothing was computed.
    var paddingRatio: Double {
        realTokenCount == 0 ? 1 : Double(rectangleTokenCount) / Double(realTokenCount)
    }

    static func - (later: PassStatistics, earlier: PassStatistics) -> PassStatistics {
        var difference = later
        difference.passCount -= earlier.passCount
        difference.realTokenCount -= earlier.realTokenCount
        difference.rectangleTokenCount -= earlier.rectangleTokenCount
        difference.computedTokenCount -= earlier.computedTokenCount
        return difference
    }
}
