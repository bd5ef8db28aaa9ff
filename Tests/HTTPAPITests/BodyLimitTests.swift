import Embeddings
import HTTPAPI
import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore
import Synchronization
import Testing

struct BodyLimitTests {
    /// Above what is parsed where the request runs.
    private let padding = String(repeating: " ", count: 300 << 10)

    @Test(arguments: [false, true]) func aBodyHoldsABoundedNumberOfValues(isLong: Bool) async throws {
        let api = API { $0.maxValues = 5 }
        let space = isLong ? padding : ""
        #expect(try await api.embeddings(#"{"input":\#(space)["a","b"]}"#).status == 200)
        let answer = try await api.embeddings(#"{"input":\#(space)["a","b","c"]}"#)
        #expect(answer.status == 400)
        #expect(answer.code == "invalid_json")
        #expect(answer.message.contains("more than 5 values"))
    }

    @Test func aLongBodysFaultIsNamedAtItsByte() async throws {
        let answer = try await API().embeddings(padding + "]")
        #expect(answer.status == 400)
        #expect(answer.message.contains("at byte \(padding.utf8.count)"))
    }

    @Test func aLineOfTooManyValuesFailsAlone() async throws {
        let api = try await API { $0.maxValues = 10 }.prepared()
        let answer = try await api.lines(
            #"{"id":1,"text":"a"}"#, #"{"id":2,"text":"a","metadata":{"n":[1,2,3,4,5,6,7,8]}}"#, #"{"id":3,"text":"b"}"#
        )
        #expect(answer.count("inserted") == 2)
        #expect(answer.count("failed") == 1)
        #expect(answer.text.contains("more than 10 values"))
    }

    /// One digit and a comma each, and four bytes as an id.
    @Test func idsAreHeldAtTheirOwnSize() async throws {
        let api = API { $0.maxBufferedBodyBytes = 2_500 }
        let ids = Array(repeating: "1", count: 600).joined(separator: ",")
        api.embedder.hang()
        let first = Task { try await api.embeddings(#"{"token_ids":"model","input":[\#(ids)]}"#) }
        while api.embedder.requests.isEmpty { await Task.yield() }
        let second = try await api.embeddings(#"{"input":"\#(String(repeating: "a", count: 200))"}"#)
        #expect(second.status == 503)
        first.cancel()
        _ = try await first.value
    }

    @Test func bodiesOfAllRequestsShareABudget() async throws {
        let api = API { $0.maxBufferedBodyBytes = 1_000 }
        let body = #"{"input":"\#(String(repeating: "a", count: 600))"}"#
        api.embedder.hang()
        let first = Task { try await api.embeddings(body) }
        while api.embedder.requests.isEmpty { await Task.yield() }
        let lengths: [String?] = [nil, "\(body.utf8.count)"]
        for length in lengths {
            var headers = HTTPFields()
            if let length { headers[.contentLength] = length }
            let refused = try await api.send(.post, "/v1/embeddings", body, headers: headers)
            #expect(refused.status == 503)
            #expect(refused.code == "too_many_body_bytes")
            #expect(refused.message.contains("1000 bytes"))
            #expect(refused.headers[.retryAfter] == "1")
        }
        #expect(try await api.send(.get, "/livez").status == 200)
        first.cancel()
        _ = try await first.value
        api.embedder.failNext(.shuttingDown)
        // What was held has been given back, by failures too.
        #expect(try await api.embeddings(body).code == "shutting_down")
    }

    @Test func linesCountOnlyWhileTheyAreHeld() async throws {
        let api = try await API { $0.maxBufferedBodyBytes = 1_000 }.prepared()
        func line(_ id: Int, _ length: Int) -> [UInt8] {
            Array(#"{"id":\#(id),"text":"\#(String(repeating: "a", count: length))"}\#n"#.utf8)
        }
        let path = "/v1/collections/demo/documents"
        let many = (0..<40).map { line($0, 10) }
        #expect(try await api.send(.post, path, pieces: many, type: "application/x-ndjson").count("inserted") == 40)
        let long = line(99, 2_000)
        let cut = try await api.send(
            .post, path, pieces: [Array(long[..<1_500]), Array(long[1_500...])], type: "application/x-ndjson")
        #expect(cut.status == 503)
        #expect(cut.count("resume_at") == 0)
    }

    @Test func shortMemoryRefusesBodiesOnlyBesideOthers() async throws {
        let api = API(isMemoryShort: { true })
        let body = #"{"input":"a"}"#
        for _ in 0..<2 { #expect(try await api.embeddings(body).status == 200, "alone it is taken") }
        api.embedder.hang()
        let first = Task { try await api.embeddings(body) }
        while api.embedder.requests.count < 3 { await Task.yield() }
        let lengths: [String?] = [nil, "\(body.utf8.count)"]
        for length in lengths {
            var headers = HTTPFields()
            if let length { headers[.contentLength] = length }
            let refused = try await api.send(.post, "/v1/embeddings", body, headers: headers)
            #expect(refused.status == 503 && refused.code == "memory_short")
            #expect(refused.headers[.retryAfter] != nil)
        }
        #expect(try await api.send(.get, "/livez").status == 200)
        first.cancel()
        _ = try await first.value
        api.embedder.failNext(.shuttingDown)
        #expect(try await api.embeddings(body).code == "shutting_down")
    }

    /// Ample while the two of them begin, short from then on.
    @Test func linesUnderWayAreNotCutWhereMemoryRunsShort() async throws {
        let looks = Atomic(0)
        let api = try await API(
            configure: { $0.documentsPerChunk = 1 },
            isMemoryShort: { looks.add(1, ordering: .relaxed).newValue > 2 }
        ).prepared()
        let path = "/v1/collections/demo/documents"
        let id = try await #require(api.jobs).add(state: .completed, count: 1, ended: 0..<1)
        let head = HTTPRequest(
            method: .get, scheme: "http", authority: "localhost:8080", path: "/v1/jobs/\(id)/results")
        // A page of results is held for as long as somebody may read it.
        let results = await api.service.respond(to: Request(head: head, body: RequestBody(buffer: ByteBuffer())))
        #expect(results.status == .ok)
        // After the second piece, and before the third, nothing is held.
        let pieces = [#"{"id":1,"te"#, #"xt":"a"}"# + "\n", #"{"id":2,"te"#, #"xt":"b"}"# + "\n"].map { Array($0.utf8) }
        let answer = try await api.send(.post, path, pieces: pieces, type: "application/x-ndjson")
        #expect(answer.status == 200 && answer.count("inserted") == 2, "\(answer.text)")
        #expect(try await api.lines(#"{"id":3,"text":"c"}"#).code == "memory_short")
        withExtendedLifetime(results) {}
    }
}
