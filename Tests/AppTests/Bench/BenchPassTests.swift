import App
import JSON
import Testing

struct BenchPassTests {
    private static var pass: BenchPass {
        var statistics = PassStatistics()
        statistics.passCount = 5
        statistics.realTokenCount = 1_000
        statistics.rectangleTokenCount = 1_500
        statistics.computedTokenCount = 1_100
        return BenchPass(
            layout: "packed", precision: "bf16", seconds: 2, textCount: 20, statistics: statistics, operationCount: 3e9,
            peakOperationsPerSecond: 2e9)
    }

    @Test func aPassTellsItsRatesAndItsShareOfThePeak() {
        #expect(
            Self.pass.summary
                == "bf16, packed: 20 texts, 1000 tokens in 2.00 s: 10.0 texts/s, 500 tokens/s, padding ratio 1.500, "
                + "4.0 sequences a pass, 75.0 % of the measured peak of 2.0 Gop/s")
    }

    @Test func jsonHasWhatProgramsRead() throws {
        let object = try #require(try JSONValue(parsing: JSONValue.object(Self.pass.json).serialized).object)
        #expect(object["texts"] == 20 && object["tokens"] == 1_000 && object["passes"] == 5)
        #expect(object["seconds"] == 2.0 && object["texts_per_second"] == 10.0)
        #expect(object["tokens_per_second"] == 500.0 && object["padding_ratio"] == 1.5)
        #expect(object["computed_tokens"] == 1_100 && object["sequences_per_pass"] == 4.0)
        #expect(object["share_of_peak"] == 0.75 && object["peak_operations_per_second"] == 2e9)
        #expect(object["operations"] == 3e9 && object["layout"] == "packed" && object["precision"] == "bf16")
    }
}
