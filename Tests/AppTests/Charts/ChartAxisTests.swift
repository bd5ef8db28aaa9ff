import App
import Testing

struct ChartAxisTests {
    @Test(arguments: [
        ([3.0, 9], [0.0, 2, 4, 6, 8, 10]),
        ([8_830.0], [0, 2_000, 4_000, 6_000, 8_000, 10_000]),
        ([0.013, 0.021], [0, 0.005, 0.01, 0.015, 0.02, 0.025]),
        ([-3.0, 7], [-4, -2, 0, 2, 4, 6, 8]),
        ([-9.0, -3], [-10, -8, -6, -4, -2, 0]),
        ([0.0], [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ([], [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ])
    func linearTicksAreRoundAndEncloseZeroAndTheValues(values: [Double], ticks: [Double]) {
        let axis = ChartAxis(scale: .linear, values: values, includesZero: true)
        #expect(axis.ticks.count == ticks.count)
        for (tick, expected) in zip(axis.ticks, ticks) { #expect(abs(tick - expected) < 1e-12) }
        for value in values { #expect(axis.range.contains(value)) }
    }

    @Test func linearAxisWithoutZeroKeepsToItsValues() {
        let axis = ChartAxis(scale: .linear, values: [1_001, 1_009], includesZero: false)
        #expect(axis.range == 1_000...1_010)
        // One value alone stands between two ends, not on a point without length.
        let lone = ChartAxis(scale: .linear, values: [40], includesZero: false)
        #expect(lone.range.lowerBound < 40 && lone.range.upperBound > 40)
    }

    @Test(arguments: [
        ([1.0, 128], [1.0, 2, 4, 8, 16, 32, 64, 128]), ([3.0, 5], [2, 4, 8]), ([8.0], [8, 16]),
        ([0.3], [0.25, 0.5]), ([], [1, 2]), ([1.0, 65_536], [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536]),
    ])
    func doublingsAreTheTicksOfLog2(values: [Double], ticks: [Double]) {
        let axis = ChartAxis(scale: .log2, values: values, includesZero: true)
        #expect(axis.ticks == ticks)
        for value in values { #expect(axis.range.contains(value)) }
    }

    @Test func manyDoublingsAreThinnedAndStillEncloseTheValues() {
        var greatest = 2e-13
        for power in 1...90 {
            let axis = ChartAxis(scale: .log2, values: [1e-13, greatest], includesZero: false)
            #expect((2...13).contains(axis.ticks.count), "2^\(power)")
            #expect(axis.ticks.first == axis.range.lowerBound && axis.ticks.last == axis.range.upperBound)
            #expect(axis.range.contains(1e-13) && axis.range.contains(greatest))
            greatest *= 2
        }
    }

    @Test func positionsGoFromStartToEnd() {
        let linear = ChartAxis(scale: .linear, values: [0, 10], includesZero: true)
        #expect([0, 5, 10].map(linear.position) == [0, 0.5, 1])
        let doubling = ChartAxis(scale: .log2, values: [1, 16], includesZero: false)
        #expect([1, 4, 16].map(doubling.position) == [0, 0.5, 1])
    }

    @Test(arguments: [
        (0.0, "0"), (-0.0, "0"), (7, "7"), (1_234_567, "1,234,567"), (-1_000, "-1,000"), (0.1 + 0.2, "0.3"),
        (12_345.678, "12,346"), (3.14159, "3.142"), (0.000_25, "0.00025"), (999.96, "1,000"), (1e-9, "1e-09"),
        (-0.000_000_000_1, "-1e-10"), (123, "123"),
    ])
    func numbersAreShortAndGrouped(value: Double, text: String) {
        #expect(ChartNumber.text(value) == text)
    }
}
