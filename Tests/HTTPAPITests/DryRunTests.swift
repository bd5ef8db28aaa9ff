import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct DryRunTests {
    private func run(_ api: API, _ lines: [String], query: String = "") async throws -> API.Answer {
        try await api.send(
            .post, "/v1/jobs?dry_run=true\(query)", lines.joined(separator: "\n"), type: "application/x-ndjson")
    }

    @Test func countsWithoutKeepingOrEmbedding() async throws {
        let api = API(tokensPerSecond: 8)
        let answer = try await run(
            api,
            [#"{"text":"a b"}"#, #"{"text":"a b"}"#, "broken", #"{"text":"1 2 3 4 5 6 7 8"}"#, #"{"text":"c d"}"#])
        #expect(answer.status == 200)
        #expect(answer.object["object"] == "job.dry_run")
        #expect(answer.count("lines") == 5 && answer.count("valid") == 4 && answer.count("invalid") == 1)
        #expect(answer.object["errors"]?.array?.map { $0.object?["index"] } == [2])
        #expect(answer.count("tokens") == 12)
        #expect(answer.count("duplicates") == 1 && answer.object["duplicates_estimated"] == false)
        #expect(answer.object["truncated"] == ["inputs": 1, "share": 0.25])
        // Three of four texts differ: 9 of 12 tokens, at 8 a second.
        #expect(answer.object["predicted_seconds"] == 1.13 && answer.object["basis"] == "measured")
        #expect(api.embedder.requests.isEmpty)
        #expect(await api.jobs?.count == 0)
        #expect(api.bell.count == 0)
    }

    @Test func withoutAMeasuredRateOneIsFoundOnce() async throws {
        let api = API(tokensPerSecond: nil)
        for _ in 0..<2 {
            let answer = try await run(api, [#"{"text":"a"}"#])
            #expect(answer.object["basis"] == "calibrated")
            #expect(answer.object["predicted_seconds"]?.number != nil)
        }
        #expect(api.embedder.requests.map(\.lane) == [.bulk])
    }

    @Test func anEncoderThatRefusesLeavesTheTimeOpen() async throws {
        let api = API(tokensPerSecond: nil)
        api.embedder.failNext(.overloaded(retryAfter: .seconds(1)))
        let answer = try await run(api, [#"{"text":"a"}"#])
        #expect(answer.status == 200)
        #expect(answer.object["basis"] == .null && answer.object["predicted_seconds"] == .null)
    }

    @Test func storageDependsOnWhereVectorsGo() async throws {
        let api = try await API().prepared()
        let lines = (0..<1_000).map { #"{"id":"document \#($0)","text":"text \#($0 % 500)"}"# }
        let stored = try #require(await run(api, lines, query: "&collection=demo").object["storage"]?.object)
        let results = try #require(await run(api, lines).object["storage"]?.object)
        for storage in [stored, results] {
            let parts = ["vectors_bytes", "documents_bytes", "hnsw_index_bytes"].map {
                storage[$0]?.number?.integer ?? -1
            }
            #expect(parts.reduce(0, +) == storage["total_bytes"]?.number?.integer)
        }
        #expect(results["documents_bytes"] == 0 && results["hnsw_index_bytes"] == 0)
        // 96 + 200 + 8 bytes an element: 26 in a page, 39 pages.
        #expect(stored["hnsw_index_bytes"] == .number(JSONNumber(39 * 8_192)))
    }

    @Test func manyDifferentTextsAreEstimated() async throws {
        let api = API { $0.maxDryRunHashes = 1_000 }
        let lines = (0..<20_000).map { #"{"text":"text \#($0 % 10_000)"}"# }
        let answer = try await run(api, lines)
        #expect(answer.object["duplicates_estimated"] == true)
        // Sampled by a hash of its own each run: four deviations of a sample of 500 or more.
        #expect(abs((answer.count("duplicates") ?? 0) - 10_000) < 1_900)
        #expect(answer.count("tokens") == 40_000)
    }

    @Test func anEmptyBodyIsRefused() async throws {
        #expect(try await run(API(), []).status == 400)
    }
}
