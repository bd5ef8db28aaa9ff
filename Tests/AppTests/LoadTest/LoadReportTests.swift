import App
import Foundation
import JSON
import NIOCore
import NIOHTTP1
import Testing

struct LoadReportTests {
    /// An outcome with one answer of so many texts and milliseconds, and a refusal.
    private static func outcome(_ loop: ClientKind.Loop, texts: Int, milliseconds: Int) -> LoadOutcome {
        var tally = LoadTally(window: .seconds(1)..<(.seconds(3)))
        let moments = LoadTally.Moments(
            wanted: .seconds(1), sent: .seconds(1), ended: .seconds(1) + .milliseconds(milliseconds))
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["X-Queue-Eta-Ms": "\(milliseconds * 2)"])
        tally.answered(
            LoadAnswer(head: head, body: ByteBuffer(string: #"{"usage":{"prompt_tokens":40}}"#)), moments,
            textCount: texts)
        tally.answered(
            LoadAnswer(
                head: HTTPResponseHead(version: .http1_1, status: .tooManyRequests, headers: ["Retry-After": "2"]),
                body: ByteBuffer(string: #"{"error":{"code":"rate_limit_exceeded"}}"#)), moments, textCount: texts)
        tally.failed("no answer in time", wanted: .seconds(2), ended: .seconds(2))
        return LoadOutcome(
            end: .duration,
            lanes: [.init(kind: ClientKind(name: "all", loop: loop, textsPerRequest: texts), tally: tally)],
            beganAt: 0, processorTime: .milliseconds(10), abandonedCount: 0)
    }

    private static func report(_ runs: LoadReport.Runs, label: String = "ours") -> LoadReport {
        LoadReport(
            setting: .init(
                label: label, url: "http://127.0.0.1:1", model: "m", encoding: .base64,
                seed: 18_446_744_073_709_551_615,
                textCount: 9),
            runs: runs)
    }

    private static var one: LoadReport { report(.one(outcome(.open(rate: 3), texts: 8, milliseconds: 20))) }

    private static func sweep(_ label: String) -> LoadReport {
        report(
            .sweep(
                [1, 8].map { users in (users, outcome(.closed(users: users), texts: 4 * users, milliseconds: 10)) }),
            label: label)
    }

    @Test func theObjectTellsEveryFigure() throws {
        let json = Self.one.json
        #expect(json["seed"]?.number?.literal == "18446744073709551615")
        #expect(json["texts_per_second"] == 4.0 && json["tokens_per_second"] == 20.0)
        #expect(json["requests"] == 3 && json["refused"] == 1 && json["errors"] == 1)
        #expect(json["generator"]?.object?["cpu_ms_per_request"] == 10.0)
        let client = try #require(json["clients"]?.array?.first?.object)
        #expect(client["loop"] == "open" && client["rate"] == 3.0)
        #expect(client["latency_ms"]?.object?["p50"] == 20.0)
        #expect(client["queue_eta"]?.object?["median_relative_error"] == 1.0)
        let refusal = try #require(client["refusals"]?.array?.first?.object)
        #expect(refusal["status"] == 429 && refusal["with_usable_retry_after"] == 1)
        #expect(refusal["least_retry_after_ms"] == 2000.0)
        // It is JSON, whatever was not measured.
        _ = try JSONValue(parsing: JSONValue.object(json).serialized)
    }

    @Test func theTableTellsWhatWentWrong() {
        let table = Self.one.table
        for part in ["all, open, 3.0/s × 8 texts", "429 rate_limit_exceeded", "no answer in time", "median error 100"] {
            #expect(table.contains(part), "\(part) in\n\(table)")
        }
        let sweep = Self.sweep("a").table
        #expect(sweep.split(separator: "\n").prefix(3).map { $0.prefix(5) } == ["USERS", "1    ", "8    "])
    }

    @Test func whatIsPrintedCanBeDrawn() throws {
        let results = try ["continuous", "static"].map { label in
            let printed = JSONValue.object(Self.sweep(label).json).serialized
            let object = try #require(try JSONValue(parsing: printed).object)
            return try #require(LoadResult(object))
        }
        let chart = try LoadChart.chart(of: results)
        #expect(
            chart.panels.map { $0.series.map(\.name) } == [
                ["continuous", "static"],
                ["continuous, median", "static, median", "continuous, 99th percentile", "static, 99th percentile"],
            ])
        #expect(chart.panels[0].series[0].points == [.init(x: 1, y: 2), .init(x: 8, y: 16)])
        #expect(chart.panels[1].series[3].points.map(\.y) == [10, 10])
        #expect(chart.panels[1].series.map { $0.look?.colour } == [0, 1, 0, 1])
        #expect(chart.panels[1].series.map { $0.look?.isBroken } == [false, false, true, true])
        #expect(ChartPage.text(of: chart).contains("Model m; requests of 4 texts."))
    }

    @Test func otherRunsAreDrawnOverTheirSeconds() throws {
        let result = try #require(LoadResult(Self.one.json))
        let chart = try LoadChart.chart(of: [result])
        #expect(chart.panels.count == 3 && chart.panels[0].series[0].name == "all")
        #expect(chart.panels[0].series[0].points.map(\.y) == [0, 8, 0])
        #expect(try LoadChart.chart(of: [result, result]).panels[0].series.map(\.name) == ["ours, all", "ours, all"])
    }

    @Test func sweepsAndOtherRunsDoNotMix() throws {
        let results = try [Self.one, Self.sweep("s")].map { try #require(LoadResult($0.json)) }
        let failure = #expect(throws: CommandFailure.self) { try LoadChart.chart(of: results) }
        #expect(failure?.exitCode == 64)
        #expect(throws: CommandFailure.self) { try LoadChart.chart(of: Array(repeating: results[1], count: 9)) }
    }

    @Test func aResultIsReadFromTheLastLineOfAFile() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("load-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }  // a left-over temporary file harms nobody
        let line = JSONValue.object(Self.sweep("s").json).serialized
        try "something before it\n\(line)\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try LoadResult(path: path) == LoadResult(Self.sweep("s").json))
        for text in ["", "{}", "[1]", "\(line)\n{\"label\":\"a\"}"] {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            #expect(throws: CommandFailure.self) { try LoadResult(path: path) }
        }
        #expect(throws: CommandFailure.self) { try LoadResult(path: path + ".none") }
    }
}
