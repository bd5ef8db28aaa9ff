import Embeddings
import HTTPAPI
import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore
import Testing

/// `X-Request-Timeout-Ms`.
struct DeadlineTests {
    let api: API
    private static let calls: [(path: String, body: String)] = [
        ("/v1/embeddings", #"{"input":"a"}"#), ("/v1/collections/demo/search", #"{"query":"a"}"#),
        ("/v1/collections/demo/documents", #"{"documents":[{"id":"a","text":"a"}]}"#),
    ]

    init() async throws {
        api = try await API().prepared()
    }

    @Test func itReachesTheEmbedderOfEveryCall() async throws {
        for call in Self.calls {
            let before = ContinuousClock.now
            #expect(try await api.post(call.path, call.body, ["X-Request-Timeout-Ms": "60000"]).status == 200)
            let deadline = try #require(api.embedder.requests.last?.deadline)
            #expect(deadline >= before + .seconds(60) && deadline <= .now + .seconds(60))
        }
        _ = try await api.post(
            "/v1/collections/demo/documents", #"{"id":"b","text":"b"}"#, type: "application/x-ndjson",
            ["x-request-timeout-ms": "3600000"])
        #expect(try #require(api.embedder.requests.last?.deadline) > .now + .seconds(3_000))
    }

    @Test func withoutItThereIsNone() async throws {
        for call in Self.calls { #expect(try await api.post(call.path, call.body, [:]).status == 200) }
        #expect(api.embedder.requests.count == 3)
        #expect(api.embedder.requests.allSatisfy { $0.deadline == nil })
    }

    @Test(arguments: [
        "", "0", "-1", "+5", "3600001", "1.5", "1e3", "abc", "0x10", "5 ms", "5,6", "٣", "99999999999999999999", "null",
    ])
    func wrongValuesAreNamed(value: String) async throws {
        for call in Self.calls {
            let answer = try await api.post(call.path, call.body, ["X-Request-Timeout-Ms": value])
            #expect(answer.status == 400)
            #expect(answer.field == "X-Request-Timeout-Ms")
            #expect(answer.message.contains("1 to 3600000"))
        }
        #expect(api.embedder.requests.isEmpty)
    }

    @Test func twoOfThemAreRefused() async throws {
        let answer = try await api.post(
            "/v1/embeddings", #"{"input":"a"}"#, ["X-Request-Timeout-Ms": "5", "X-Request-Timeout-Ms": "6"])
        #expect(answer.status == 400)
    }

    @Test func whatCannotMakeItIsRefusedAtOnce() async throws {
        for call in Self.calls {
            api.embedder.failNext(.deadlineUnreachable(retryAfter: .milliseconds(1_234)))
            let answer = try await api.post(call.path, call.body, ["X-Request-Timeout-Ms": "50"])
            #expect(answer.status == 429)
            #expect(answer.code == "deadline_unreachable")
            #expect(answer.error["type"] == "tokens")
            #expect(answer.header("Retry-After") == "2")
            #expect(answer.header("retry-after-ms") == "1234")
        }
    }

    @Test func whatRunsOutOfTimeIs503() async throws {
        for call in Self.calls {
            api.embedder.failNext(.deadlineExceeded)
            let answer = try await api.post(call.path, call.body, ["X-Request-Timeout-Ms": "60000"])
            #expect(answer.status == 503)
            #expect(answer.code == "deadline_exceeded")
            #expect(answer.header("Retry-After") == nil)
        }
    }

    @Test func aStreamThatRunsOutOfTimeSaysWhereToResume() async throws {
        let api = try await API { $0.documentsPerChunk = 1 }.prepared()
        _ = try await api.lines(#"{"id":"warm","text":"a"}"#)
        api.embedder.failNext(.deadlineUnreachable(retryAfter: .milliseconds(1)))
        let answer = try await api.post(
            "/v1/collections/demo/documents",
            #"{"id":"warm","text":"a"}"# + "\n" + #"{"id":"b","text":"b"}"# + "\n" + #"{"id":"c","text":"c"}"#,
            type: "application/x-ndjson", ["X-Request-Timeout-Ms": "60000"])
        #expect(answer.status == 429)
        #expect(answer.code == "deadline_unreachable")
        #expect(answer.count("unchanged") == 1 && answer.count("resume_at") == 1)
    }

    @Test func aBodyThatTakesAllOfTheTimeIsNotEmbedded() async throws {
        for call in Self.calls {
            let headers: HTTPFields = [
                .contentType: "application/json", try #require(HTTPField.Name("X-Request-Timeout-Ms")): "1",
            ]
            let head = HTTPRequest(
                method: .post, scheme: "http", authority: "localhost", path: call.path, headerFields: headers)
            let body = LateBody(bytes: ByteBuffer(string: call.body), delay: .milliseconds(3))
            let answer = try await API.Answer(
                api.service.respond(to: Request(head: head, body: RequestBody(asyncSequence: body))))
            #expect(answer.status == 503)
            #expect(answer.code == "deadline_exceeded")
        }
        #expect(api.embedder.requests.isEmpty)
    }
}

/// Gives its bytes no sooner than `delay` after it is asked for them, without sleeping.
private struct LateBody: AsyncSequence, Sendable {
    let bytes: ByteBuffer
    let delay: Duration

    struct Iterator: AsyncIteratorProtocol {
        var bytes: ByteBuffer?
        let delay: Duration

        mutating func next() async -> ByteBuffer? {
            let end = ContinuousClock.now + delay
            while ContinuousClock.now < end { await Task.yield() }
            defer { bytes = nil }
            return bytes
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(bytes: bytes, delay: delay) }
}
