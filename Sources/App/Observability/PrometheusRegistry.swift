package import CoreMetrics
import Synchronization

/// Keeps every instrument of the process and writes them in Prometheus' text format (version 0.0.4).
///
/// swift-metrics is the door for the modules; this is the room behind it. An instrument exists, with zero, from the
/// moment its module starts, so that a scrape never has to guess.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    private struct State {
        var families: [String: Family] = [:]
    }

    private struct Family {
        let type: String
        /// By rendered labels, so that a scrape lists them in a stable order.
        var series: [String: any Series] = [:]
    }

    // A mutex for one dictionary; each instrument guards its own value.
    private let state = Mutex(State())

    package init() {}

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions, type: "counter") { ScalarSeries() }
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, dimensions, type: "counter") { ScalarSeries() }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions, type: "gauge") { ScalarSeries() }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate {
            series(label, dimensions, type: "histogram") { HistogramSeries(bounds: HistogramSeries.countBounds) }
        } else {
            series(label, dimensions, type: "gauge") { ScalarSeries() }
        }
    }

    /// Timers are histograms in seconds; their labels end in `_seconds`.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions, type: "histogram") { HistogramSeries(bounds: HistogramSeries.secondBounds) }
    }

    // Instruments live as long as the process, so that a counter never falls.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// The text of a scrape.
    package func scrape() -> String {
        let families = state.withLock { $0.families }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# TYPE \(name) \(family.type)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.write(name: name, labels: labels, to: &text)
            }
        }
        return text
    }

    /// A counter's or gauge's value, or how many values a histogram has seen; nil where there is no such instrument.
    package func value(of label: String, dimensions: [(String, String)] = []) -> Double? {
        state.withLock { $0.families[label]?.series[Self.rendered(dimensions)] }?.total
    }

    /// The instrument of that name and those labels; the first maker's kind counts.
    private func series<S: Series>(
        _ label: String, _ dimensions: [(String, String)], type: String, make: () -> S
    ) -> S {
        let labels = Self.rendered(dimensions)
        return state.withLock { state in
            var family = state.families[label] ?? Family(type: type)
            defer { state.families[label] = family }
            if let known = family.series[labels] as? S { return known }
            precondition(family.type == type, "the metric \(label) is made as \(family.type) and as \(type)")
            let made = make()
            family.series[labels] = made
            return made
        }
    }

    private static func rendered(_ dimensions: [(String, String)]) -> String {
        dimensions.map { "\($0.0)=\"\(escaped($0.1))\"" }.joined(separator: ",")
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for character in value {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
        return text
    }
}

/// One line, or one group of lines, of a scrape.
private protocol Series: AnyObject, Sendable {
    var total: Double { get }
    func write(name: String, labels: String, to text: inout String)
}

/// A counter or a gauge.
private final class ScalarSeries: Series, CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler {
    // A mutex for one number: instruments are touched a few times a pass or a request, never a token.
    private let value = Mutex(0.0)

    func increment(by amount: Int64) { value.withLock { $0 += Double(amount) } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func reset() { value.withLock { $0 = 0 } }
    func set(_ new: Int64) { value.withLock { $0 = Double(new) } }
    func set(_ new: Double) { value.withLock { $0 = new } }
    func record(_ new: Int64) { set(new) }
    func record(_ new: Double) { set(new) }
    var total: Double { value.withLock { $0 } }

    func write(name: String, labels: String, to text: inout String) {
        let value = value.withLock { $0 }
        text += labels.isEmpty ? "\(name) \(value.sample)\n" : "\(name){\(labels)} \(value.sample)\n"
    }
}

private final class HistogramSeries: Series, RecorderHandler, TimerHandler {
    /// Powers of two: sequences and tokens.
    static let countBounds = (0...16).map { Double(1 << $0) }
    /// 0.1 ms to 100 s, three steps a decade.
    static let secondBounds = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100,
    ]

    private struct Contents {
        var counts: [Int]
        var sum = 0.0
        var count = 0
    }

    private let bounds: [Double]
    private let contents: Mutex<Contents>

    init(bounds: [Double]) {
        self.bounds = bounds
        contents = Mutex(Contents(counts: [Int](repeating: 0, count: bounds.count)))
    }

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    var total: Double { Double(contents.withLock { $0.count }) }

    func record(_ value: Double) {
        let place = bounds.firstIndex { value <= $0 }
        contents.withLock { contents in
            if let place { contents.counts[place] += 1 }
            contents.sum += value
            contents.count += 1
        }
    }

    func write(name: String, labels: String, to text: inout String) {
        let contents = contents.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var cumulative = 0
        for (bound, count) in zip(bounds, contents.counts) {
            cumulative += count
            text += "\(name)_bucket{\(prefix)le=\"\(bound.sample)\"} \(cumulative)\n"
        }
        text += "\(name)_bucket{\(prefix)le=\"+Inf\"} \(contents.count)\n"
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        text += "\(name)_sum\(suffix) \(contents.sum.sample)\n"
        text += "\(name)_count\(suffix) \(contents.count)\n"
    }
}

extension Double {
    /// As Prometheus reads it; whole numbers without a fraction.
    fileprivate var sample: String {
        self == rounded() && magnitude < 1e15 ? String(Int64(self)) : description
    }
}
