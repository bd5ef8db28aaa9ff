import Foundation
package import JSON

/// What one timed pass over a file measured.
package struct BenchPass: Sendable {
    package let layout: String
    package let precision: String
    package let seconds: Double
    package let textCount: Int
    package let statistics: PassStatistics
    /// Multiplications and additions of the dense layers and of attention, without padding.
    package let operationCount: Double
    /// What bare loops of multiply-adds reached on as many threads, a second.
    package let peakOperationsPerSecond: Double

    package init(
        layout: String, precision: String, seconds: Double, textCount: Int, statistics: PassStatistics,
        operationCount: Double, peakOperationsPerSecond: Double
    ) {
        self.layout = layout
        self.precision = precision
        self.seconds = seconds
        self.textCount = textCount
        self.statistics = statistics
        self.operationCount = operationCount
        self.peakOperationsPerSecond = peakOperationsPerSecond
    }

    package var shareOfPeak: Double { operationCount / seconds / peakOperationsPerSecond }
    private var textsPerSecond: Double { Double(textCount) / seconds }
    private var tokensPerSecond: Double { Double(statistics.realTokenCount) / seconds }
    private var sequencesPerPass: Double { Double(textCount) / Double(max(1, statistics.passCount)) }

    /// For people; one line.
    package var summary: String {
        """
        \(precision), \(layout): \(textCount) texts, \(statistics.realTokenCount) tokens in \(Self.decimal(seconds, 2)) s: \
        \(Self.decimal(textsPerSecond, 1)) texts/s, \(Self.decimal(tokensPerSecond, 0)) tokens/s, padding ratio \
        \(Self.decimal(statistics.paddingRatio, 3)), \(Self.decimal(sequencesPerPass, 1)) sequences a pass, \
        \(Self.decimal(100 * shareOfPeak, 1)) % of the measured peak of \
        \(Self.decimal(peakOperationsPerSecond / 1e9, 1)) Gop/s
        """
    }

    private static func decimal(_ value: Double, _ places: Int) -> String {
        String(format: "%.\(places)f", value)
    }

    package var json: JSONObject {
        JSONObject([
            "precision": .string(precision), "layout": .string(layout), "seconds": .number(JSONNumber(seconds)),
            "texts": .number(JSONNumber(textCount)), "tokens": .number(JSONNumber(statistics.realTokenCount)),
            "texts_per_second": .number(JSONNumber(textsPerSecond)),
            "tokens_per_second": .number(JSONNumber(tokensPerSecond)),
            "padding_ratio": .number(JSONNumber(statistics.paddingRatio)),
            "computed_tokens": .number(JSONNumber(statistics.computedTokenCount)),
            "passes": .number(JSONNumber(statistics.passCount)),
            "sequences_per_pass": .number(JSONNumber(sequencesPerPass)),
            "operations": .number(JSONNumber(operationCount)),
            "peak_operations_per_second": .number(JSONNumber(peakOperationsPerSecond)),
            "share_of_peak": .number(JSONNumber(shareOfPeak)),
        ])
    }
}
