import App
import ArgumentParser
import Batching
import Embeddings
import JSON
import Testing

struct PlanReportTests {
    private func report(_ knobs: MemoryKnobs, limit: Int, rate: Double? = nil) -> PlanReport {
        PlanReport(
            knobs, given: [.bufferedBodyBytes], allowance: MemoryAllowance(byteCount: limit << 20, source: .option),
            tokensOfText: 100, tokensPerSecond: rate)
    }

    @Test func theTableNamesEveryPartAndBothSums() {
        let report = report(.sample, limit: 4_096)
        let lines = report.text.split(separator: "\n")
        for part in report.plan.parts {
            #expect(lines.contains { $0.hasPrefix(part.name.split(separator: "_").joined(separator: " ")) })
        }
        for sum in ["IDLE", "FULL LOAD", "START", "PEAK", "LIMIT"] { #expect(lines.contains { $0.hasPrefix(sum) }) }
        #expect(report.refusal == nil && !report.text.contains("measured"))
    }

    @Test func whatDoesNotFitIsToldAndNotThrown() throws {
        var knobs = MemoryKnobs.sample
        knobs.server?.bufferedBodyBytes = 2 << 30
        let report = report(knobs, limit: 700)
        let refusal = try #require(report.refusal)
        #expect(report.text.contains("a start is refused: \(refusal)"))
        #expect(report.json["fits"] == false && report.json["refusal"]?.string == refusal)
        // With bodies as they are, no queue fits either.
        #expect(report.json["largest_max_queued_tokens"] == .null)
    }

    @Test func theJSONHoldsPartsSumsAndLargestBudgets() throws {
        let report = report(.sample, limit: 4_096, rate: 17_000)
        let json = report.json
        let parts = try #require(json["parts"]?.array)
        let sum = parts.reduce(0) { sum, part in
            let isLoad = part.object?["phase"] != "start"
            return sum + (isLoad ? part.object?["bytes"]?.number?.integer ?? 0 : 0)
        }
        #expect(json["load_bytes"]?.number?.integer == sum && json["fits"] == true)
        #expect(try #require(json["largest_max_batch_tokens"]?.number?.integer) == 1_048_576)
        #expect(try #require(json["largest_max_queued_tokens"]?.number?.integer) > 524_288)
        let rates = ["tokens_per_second", "texts_per_second"].map { json[$0]?.number.flatMap { Double($0.literal) } }
        #expect(rates == [17_000, 170])
        let text = try #require(json["text"]?.object)
        // 100 rows of 8,800 bytes; and 100 ids, two vectors of 384 floats, and what holds them.
        #expect(text["bytes_in_a_large_batch"] == 3_512 && text["bytes_in_a_small_batch"] == 883_512)
    }

    @Test func itTakesTheOptionsOfServe() throws {
        func options(_ name: String) throws -> Set<String> {
            let command = OvenbirdCommand.configuration.subcommands.first { $0._commandName == name }
            return Set(try EnvironmentOptions.names(of: try #require(command)))
        }
        let (planned, served) = (try options("plan"), try options("serve"))
        let others: Set = ["migrate", "max-file-bytes", "max-batch-requests", "log-level", "log-format"]
        #expect(served.subtracting(planned) == others)
    }

    @Test(arguments: [
        ["plan"], ["plan", "--model", "m", "--text-tokens", "0"], ["plan", "--model", "m", "--worker"],
        ["plan", "--model", "m", "--memory-limit", "much"],
    ])
    func badOptionsAreRefused(arguments: [String]) {
        #expect(throws: (any Error).self) { try OvenbirdCommand.parseAsRoot(arguments) }
    }
}
