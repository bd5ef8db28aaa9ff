import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Logging
import MetricsTestKit
import Synchronization
import Testing

/// What an answer tells beside its body, what the log is told, and whom the queue is told that it serves.
struct TelemetryTests {
    let api: API

    init() async throws {
        api = try await API().prepared()
    }

    @Test func theStagesOfAnEmbeddingAreTold() async throws {
        api.embedder.report(
            EmbeddingTiming(tokenize: .microseconds(250), queue: .milliseconds(12), compute: .nanoseconds(3_004_900)),
            promisedWait: .microseconds(41_001))
        let answer = try await api.embeddings(#"{"input":"a"}"#)
        #expect(answer.header("Server-Timing") == "queue;dur=12.000, tokenize;dur=0.250, compute;dur=3.004")
        #expect(answer.header("X-Queue-Eta-Ms") == "42")
    }

    @Test func callsToTheStoreAreToldWhereTheyAreMade() async throws {
        let upsert = try await api.upsert(#"{"id":"a","text":"one"}"#)
        let search = try await api.search(#"{"query":"one"}"#)
        for answer in [upsert, search] {
            let stages = try #require(answer.header("Server-Timing")).split(separator: ", ")
            #expect(stages.map { $0.split(separator: ";").first } == ["queue", "tokenize", "compute", "store"])
        }
        for (method, path) in [
            (HTTPRequest.Method.get, "/documents"), (.get, "/documents/a"), (.get, "/documents/none"),
            (.delete, "/documents/a"), (.get, ""),
        ] {
            let answer = try await api.send(method, "/v1/collections/demo\(path)")
            #expect(answer.header("Server-Timing")?.hasPrefix("store;dur=") == true)
            #expect(answer.header("X-Queue-Eta-Ms") == nil)
        }
        #expect(try await api.send(.get, "/livez").header("Server-Timing") == nil)
        #expect(try await api.embeddings(#"{"input":""}"#).header("Server-Timing") == nil)
    }

    @Test func severalCallsOfARequestAreToldTogether() async throws {
        let api = try await API { $0.documentsPerChunk = 2 }.prepared()
        api.embedder.report(EmbeddingTiming(compute: .milliseconds(5)), promisedWait: .milliseconds(7))
        let answer = try await api.lines(
            #"{"id":"a","text":"1"}"#, #"{"id":"b","text":"2"}"#, #"{"id":"c","text":"3"}"#)
        #expect(answer.header("Server-Timing")?.contains("compute;dur=10.000") == true)
        #expect(answer.header("X-Queue-Eta-Ms") == "14")
    }

    @Test func nothingIsPromisedWhereNothingWaits() async throws {
        #expect(try await api.embeddings(#"{"input":"a"}"#).header("X-Queue-Eta-Ms") == nil)
        api.embedder.report(EmbeddingTiming(), promisedWait: .zero)
        #expect(try await api.embeddings(#"{"input":"a"}"#).header("X-Queue-Eta-Ms") == "0")
        api.embedder.failNext(.overloaded(retryAfter: .seconds(1)))
        #expect(try await api.embeddings(#"{"input":"a"}"#).header("X-Queue-Eta-Ms") == nil)
    }

    @Test func requestsThatWaitAreCounted() async throws {
        let metrics = TestMetrics()
        let api = API(metrics: metrics)
        let gauge = try metrics.expectMeter("ovenbird_http_active_requests")
        #expect(gauge.lastValue == 0)
        api.embedder.hang()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { _ = try? await api.embeddings(#"{"input":"a"}"#) } }
            while api.embedder.requests.count < 3 { await Task.yield() }
            #expect(gauge.lastValue == 3)
            group.cancelAll()
        }
        #expect(gauge.lastValue == 0)
    }

    @Test func theCallersSpanIsLogged() async throws {
        let lines = Mutex<[String]>([])
        let logger = Logger(label: "test") { _ in RecordingHandler { line in lines.withLock { $0.append(line) } } }
        let api = API(logger: logger)
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        #expect(try await api.post("/v1/embeddings", #"{"input":"a"}"#, ["traceparent": parent]).status == 200)
        let line = try #require(lines.withLock { $0.last })
        #expect(line.hasPrefix("Answered a request"))
        #expect(line.contains(#""trace_id": 4bf92f3577b34da6a3ce929d0e0e4736"#))
        #expect(line.contains(#""span_id": 00f067aa0ba902b7"#))
        for headers: KeyValuePairs<String, String> in [
            ["traceparent": "nonsense"], ["traceparent": parent, "traceparent": parent], [:],
        ] {
            #expect(try await api.post("/v1/embeddings", #"{"input":"a"}"#, headers).status == 200)
            #expect(try #require(lines.withLock { $0.last }).contains("trace_id") == false)
        }
    }

    @Test func aKeyIsAClientWhateverItsConnection() async throws {
        let api = try await API { $0.apiKeys = [Secret("k3y-one"), Secret("k3y-two")] }.prepared()
        for (key, connection) in [("k3y-one", "x"), ("k3y-two", "x"), ("k3y-one", "y")] {
            _ = try await api.post(
                "/v1/embeddings", #"{"input":"a"}"#, on: ClientID(connection), ["Authorization": "Bearer \(key)"])
        }
        let clients = api.embedder.requests.map(\.client)
        #expect(clients.count == 3 && clients[0] == clients[2] && clients[0] != clients[1])
        #expect(clients.allSatisfy { !$0.name.contains("k3y") && $0 != .unnamed })
    }

    @Test func withoutKeysAConnectionIsAClient() async throws {
        for name in ["x", "y"] {
            let connection = ClientID(name)
            _ = try await api.post("/v1/embeddings", #"{"input":"a"}"#, on: connection, [:])
            _ = try await api.post("/v1/collections/demo/search", #"{"query":"a"}"#, on: connection, [:])
            _ = try await api.post(
                "/v1/collections/demo/documents", #"{"documents":[{"id":"\#(name)","text":"a"}]}"#, on: connection, [:])
            _ = try await api.post(
                "/v1/collections/demo/documents", #"{"id":"\#(name)","text":"b"}"#, type: "application/x-ndjson",
                on: connection, [:])
        }
        #expect(api.embedder.requests.map(\.client.name) == ["x", "x", "x", "x", "y", "y", "y", "y"])
    }
}

struct LaneTests {
    let api = API()

    private func lane(_ body: String) async throws -> Lane? {
        #expect(try await api.embeddings(body).status == 200)
        return api.embedder.requests.last?.lane
    }

    private func texts(_ count: Int, bytes: Int) -> String {
        let sizes = (0..<count).map { bytes / count + ($0 < bytes % count ? 1 : 0) }
        return "[" + sizes.map { #""\#(String(repeating: "a", count: $0))""# }.joined(separator: ",") + "]"
    }

    @Test func aHandfulOfTextsIsInteractive() async throws {
        #expect(try await lane(#"{"input":\#(texts(1, bytes: 16_384))}"#) == .interactive)
        #expect(try await lane(#"{"input":\#(texts(8, bytes: 16_384))}"#) == .interactive)
        #expect(try await lane(#"{"input":[1,2],"token_ids":"model"}"#) == .interactive)
    }

    @Test func moreIsBulk() async throws {
        #expect(try await lane(#"{"input":\#(texts(1, bytes: 16_385))}"#) == .bulk)
        #expect(try await lane(#"{"input":\#(texts(8, bytes: 16_385))}"#) == .bulk)
        #expect(try await lane(#"{"input":\#(texts(9, bytes: 9))}"#) == .bulk)
        let ids = Array(repeating: "1", count: 4_097).joined(separator: ",")
        #expect(try await lane(#"{"input":[\#(ids)],"token_ids":"model"}"#) == .bulk)
    }

    @Test func whatTheClientSaysWins() async throws {
        #expect(try await lane(#"{"input":"a","priority":"bulk"}"#) == .bulk)
        #expect(try await lane(#"{"input":\#(texts(9, bytes: 9)),"priority":"interactive"}"#) == .interactive)
    }

    @Test func onlyWhatIsComputedCounts() async throws {
        #expect(
            try await lane(#"{"input":["a","","","","","","","",""],"on_error":"per_item"}"#) == .interactive)
    }

    @Test func documentsFollowTheSameRule() async throws {
        let api = try await api.prepared()
        func upsert(_ texts: [String]) async throws {
            _ = try await api.upsert(
                texts.enumerated().map { #"{"id":\#($0),"text":"\#($1)"}"# }.joined(separator: ","))
        }
        try await upsert((0..<8).map { "text \($0)" })
        try await upsert((0..<9).map { "other \($0)" })
        try await upsert([String(repeating: "b", count: 16_385)])
        #expect(api.embedder.requests.map(\.lane) == [.interactive, .bulk, .bulk])
    }

    @Test func searchesAreInteractive() async throws {
        let api = try await api.prepared()
        _ = try await api.search(#"{"query":"\#(String(repeating: "a", count: 20_000))"}"#)
        #expect(api.embedder.requests.map(\.lane) == [.interactive])
    }
}
