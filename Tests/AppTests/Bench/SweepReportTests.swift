import App
import JSON
import Testing

struct SweepReportTests {
    private static func setting(peak: Double? = 1e9) -> SweepReport.Setting {
        SweepReport.Setting(
            model: "tiny", precision: "fp32", layout: "packed", threadCount: 2, weightByteCount: 3 << 20,
            peakOperationsPerSecond: peak)
    }

    private static func row(batch: Int = 4, length: Int = 10, resident: Int? = 64 << 20) -> SweepReport.Row {
        SweepReport.Row(
            timing: SizeTiming(
                size: SweepSize(batch: batch, length: length), threadCount: 2, passSeconds: [0.03, 0.01, 0.02, 0.02],
                tokensPerSecond: 4_000, scratchByteCount: 1 << 20, peakResidentByteCount: resident),
            operationCount: 5e6)
    }

    @Test func theMedianPassIsTheLatency() {
        func latency(_ seconds: [Double]) -> Double {
            SizeTiming(
                size: SweepSize(batch: 1, length: 8), threadCount: 1, passSeconds: seconds, tokensPerSecond: 1,
                scratchByteCount: 0, peakResidentByteCount: nil
            ).latencySeconds
        }
        #expect(latency([5]) == 5)
        #expect(latency([9, 1, 2]) == 2)
        #expect(latency([9, 1, 2, 4]) == 3)
        #expect(Self.row().timing.tokensPerSecondPerSequence == 500)
    }

    @Test func theShareOfThePeakCountsOperationsASecond() {
        // 4,000 tokens/s are 100 passes of 40 tokens and 5 million operations.
        #expect(abs(Self.row().shareOfPeak(1e9) - 0.5) < 1e-12)
    }

    @Test func theTableHasALineASize() {
        func lines(_ row: SweepReport.Row, peak: Double?) -> [[String]] {
            let lines = SweepReport(setting: Self.setting(peak: peak), rows: [row]).table.split(separator: "\n")
            #expect(lines.count == 2 && lines[0].count == lines[1].count)
            return lines.map { $0.split(separator: " ").map(String.init) }
        }
        let known = lines(Self.row(), peak: 1e9)
        #expect(known[0].prefix(5) == ["BATCH", "LENGTH", "TOKENS/S", "TOKENS/S/SEQ", "PASS"])
        #expect(known[1] == ["4", "10", "4000", "500", "20.000", "1.0", "4.0", "64.0", "50.0", "%"])
        #expect(lines(Self.row(resident: nil), peak: nil)[1].suffix(2) == ["-", "-"])
    }

    @Test func roundsAreJoinedByTheTimeTheyTook() {
        func timing(_ seconds: [Double], _ rate: Double, scratch: Int, resident: Int?) -> SizeTiming {
            SizeTiming(
                size: SweepSize(batch: 1, length: 8), threadCount: 1, passSeconds: seconds, tokensPerSecond: rate,
                scratchByteCount: scratch, peakResidentByteCount: resident)
        }
        let joined = timing([3], 100, scratch: 7, resident: nil)
            .joined(with: timing([0.25, 0.75], 500, scratch: 5, resident: 9))
        #expect(joined == timing([0.25, 0.75, 3], 200, scratch: 7, resident: 9))
        let lesser = joined.joined(with: timing([4], 200, scratch: 7, resident: 8))
        #expect(lesser == timing([0.25, 0.75, 3, 4], 200, scratch: 7, resident: 8))
    }

    @Test func jsonHoldsTotalsAndEverySize() throws {
        let report = SweepReport(setting: Self.setting(), rows: [Self.row(), Self.row(batch: 8, resident: nil)])
        let object = try #require(try JSONValue(parsing: JSONValue.object(report.json).serialized).object)
        // 4 passes a size on 2 threads of 0.08 s together.
        #expect(abs(try #require(object["seconds"]?.number?.value) - 0.08) < 1e-12)
        #expect(object["texts"] == 48 && object["tokens"] == 480 && object["padding_ratio"] == 1)
        #expect(abs(try #require(object["tokens_per_second"]?.number?.value) - 6_000) < 1e-6)
        #expect(abs(try #require(object["texts_per_second"]?.number?.value) - 600) < 1e-6)
        let sizes = (object["sweep"]?.array ?? []).compactMap(\.object)
        #expect(sizes.map { $0["batch"] } == [4, 8])
        let first = try #require(sizes.first)
        #expect(first["length"] == 10 && first["passes"] == 4 && first["tokens_per_second"] == 4_000.0)
        #expect(first["tokens_per_second_per_sequence"] == 500.0 && first["latency_ms"] == 20.0)
        #expect(first["least_latency_ms"] == 10.0 && first["scratch_bytes"] == 1_048_576)
        #expect(first["scratch_and_weight_bytes"] == 4_194_304 && first["peak_resident_bytes"] == 67_108_864)
        #expect(abs(try #require(first["share_of_peak"]?.number?.value) - 0.5) < 1e-12)
        #expect(sizes.last?["peak_resident_bytes"] == .null)
    }

    @Test func aPeakThatWasNotMeasuredIsNotTold() {
        let report = SweepReport(setting: Self.setting(peak: nil), rows: [Self.row()]).json
        #expect(report["peak_operations_per_second"] == nil)
        #expect(report["sweep"]?.array?.first?.object?["share_of_peak"] == nil)
    }

    @Test func theChartRunsOverTheBatchALineALength() throws {
        let rows = [(1, 8), (2, 8), (1, 16), (2, 16)].map { Self.row(batch: $0.0, length: $0.1) }
        let chart = try SweepReport(setting: Self.setting(), rows: rows).chart()
        #expect(chart.xLabel == "sequences of one pass" && chart.panels.count == 4)
        for panel in chart.panels {
            #expect(panel.series.map(\.name) == ["8 tokens each", "16 tokens each"])
            #expect(panel.series.allSatisfy { $0.points.map(\.x) == [1, 2] })
        }
        #expect(chart.panels[0].series[0].points[0].y == 4_000)
        #expect(chart.panels[1].series[0].points[0].y == 20)
        #expect(chart.panels[2].series[1].points[0].y == 800)
        #expect(chart.panels[3].series[0].points[0].y == 1)
        #expect(chart.notes.joined().contains("1 Gop/s; the best size reaches 250 % of it"))
    }

    @Test func oneBatchIsDrawnOverTheLength() throws {
        let rows = [8, 16, 32].map { Self.row(batch: 4, length: $0) }
        let chart = try SweepReport(setting: Self.setting(peak: nil), rows: rows).chart()
        #expect(chart.xLabel == "tokens of each sequence" && chart.notes.count == 1)
        #expect(chart.panels[0].series.map(\.name) == ["batch of 4"])
        #expect(chart.panels[0].series[0].points.map(\.x) == [8, 16, 32])
    }
}
