import App
import Testing

struct LogHistogramTests {
    private static let shares = [0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1]

    /// The least value that this share of all values do not exceed, by sorting them.
    private static func exact(_ sorted: [UInt64], _ share: Double) -> UInt64 {
        sorted[max(1, Int((share * Double(sorted.count) - 1e-9).rounded(.up))) - 1]
    }

    @Test(arguments: [(LogHistogram.Resolution.fine, 128.0), (.coarse, 16)], 1...20)
    func quantilesAreTheExactOnesOrLessThanAStepAbove(resolution: (LogHistogram.Resolution, Double), seed: UInt64)
        throws
    {
        var random = SeededRandom(seed: seed)
        var histogram = LogHistogram(resolution.0)
        // Of every magnitude, from nothing to an hour in nanoseconds.
        let values = (0..<Int.random(in: 1...3_000, using: &random)).map { _ in
            UInt64.random(in: 0...(1 << UInt64.random(in: 0...42, using: &random)), using: &random)
        }
        for value in values { histogram.record(value) }
        let sorted = values.sorted()
        for share in Self.shares {
            let (found, exact) = (try #require(histogram.quantile(share)), Self.exact(sorted, share))
            #expect(found >= exact, "\(share)")
            #expect(Double(found - exact) <= Double(exact) / resolution.1, "\(share): \(found) for \(exact)")
        }
        #expect(histogram.maximum == sorted.last && histogram.quantile(1) == sorted.last)
        #expect(histogram.count == values.count)
        let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
        #expect(abs(try #require(histogram.mean) - mean) <= mean * 1e-9)
    }

    @Test func smallValuesStandForThemselves() {
        var histogram = LogHistogram()
        for value in UInt64(0)...255 { histogram.record(value) }
        for place in 1...256 { #expect(histogram.quantile(Double(place) / 256) == UInt64(place - 1)) }
    }

    @Test func mergedHistogramsAreTheHistogramOfAll() {
        var random = SeededRandom(seed: 7)
        var (left, right, both) = (LogHistogram(), LogHistogram(), LogHistogram())
        for number in 0..<2_000 {
            let value = random.next() >> 30
            number.isMultiple(of: 3) ? left.record(value) : right.record(value >> 8)
            both.record(number.isMultiple(of: 3) ? value : value >> 8)
        }
        left.merge(right)
        #expect(left.count == both.count && left.maximum == both.maximum)
        for share in Self.shares { #expect(left.quantile(share) == both.quantile(share)) }
    }

    @Test func nothingHasNoQuantile() {
        let histogram = LogHistogram()
        #expect(histogram.quantile(0.5) == nil && histogram.mean == nil && histogram.greatestMilliseconds == nil)
    }

    @Test func timesAreCountedInNanoseconds() {
        var histogram = LogHistogram()
        histogram.record(Duration.milliseconds(-3))
        histogram.record(Duration.seconds(2))
        #expect(histogram.quantile(0.5) == 0 && histogram.greatestMilliseconds == 2_000)
    }
}
