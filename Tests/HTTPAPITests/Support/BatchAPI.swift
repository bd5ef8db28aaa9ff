import Embeddings
import HTTPAPI
import HTTPTypes
import HummingbirdCore
import JSON
import Metrics
import NIOCore
import Storage
import Synchronization
import Testing

/// Files and batches without a socket, with stores in memory, a coordinator that works when it is told to, and a clock
/// that stands.
final class BatchAPI: Sendable {
    let service: HTTPService
    let embedder = HashEmbedder()
    let coordinator: BatchCoordinator
    let batches: MemoryBatchStore
    let jobs: MemoryJobStore
    let clock = Clock()

    init(
        configure: (inout HTTPConfiguration) -> Void = { _ in },
        coordinate: (inout BatchCoordinator.Configuration) -> Void = { _ in }
    ) {
        let clock = clock
        jobs = MemoryJobStore(documents: MemoryDocumentStore(), now: { clock.now })
        batches = MemoryBatchStore(jobs: jobs, now: { clock.now })
        var settings = BatchCoordinator.Configuration()
        coordinate(&settings)
        coordinator = BatchCoordinator(
            configuration: settings, store: batches, jobs: jobs, model: embedder.model, logger: API.silent)
        var configuration = HTTPConfiguration()
        configure(&configuration)
        service = HTTPService(
            configuration: configuration, embedder: embedder, store: nil, jobs: jobs, batches: batches,
            countTokens: { (count: $0.utf8.count, isTruncated: false) }, info: { [:] }, metricsText: { "" },
            metrics: NOOPMetricsHandler.instance, logger: API.silent)
    }

    /// Stands until it is moved.
    final class Clock: Sendable {
        private let seconds = Mutex<Int64>(1_800_000_000)

        var now: Timestamp { Timestamp(microsecondsSinceUnixEpoch: seconds.withLock { $0 } * 1_000_000) }
        func advance(by seconds: Int64) { self.seconds.withLock { $0 += seconds } }
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, type: String = "application/json"
    ) async throws -> API.Answer {
        try await send(method, path, pieces: body.map { [Array($0.utf8)] } ?? [], type: type)
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, pieces: [[UInt8]], type: String
    ) async throws -> API.Answer {
        let fields: HTTPFields = pieces.isEmpty ? [:] : [.contentType: type]
        let head = HTTPRequest(method: method, scheme: "http", authority: "localhost", path: path, headerFields: fields)
        let (stream, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
        for piece in pieces { continuation.yield(ByteBuffer(bytes: piece)) }
        continuation.finish()
        return try await API.Answer(service.respond(to: Request(head: head, body: RequestBody(asyncSequence: stream))))
    }

    /// As the official client sends it.
    func upload(_ content: String, fields: [(String, String)] = [("purpose", "batch")]) async throws -> API.Answer {
        var body = ""
        for (name, value) in fields {
            body += "--xyz\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
        }
        body +=
            "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n"
            + "Content-Type: application/octet-stream\r\n\r\n\(content)\r\n--xyz--\r\n"
        let bytes = Array(body.utf8)
        let pieces = stride(from: 0, to: bytes.count, by: 100).map { Array(bytes[$0..<min($0 + 100, bytes.count)]) }
        return try await send(.post, "/v1/files", pieces: pieces, type: "multipart/form-data; boundary=\"xyz\"")
    }

    func makeBatch(_ lines: String..., extra: String = "") async throws -> String {
        let file = try #require(try await upload(lines.joined(separator: "\n")).object["id"]?.string)
        let answer = try await send(
            .post, "/v1/batches",
            #"{"input_file_id":"\#(file)","endpoint":"/v1/embeddings","completion_window":"24h"\#(extra)}"#)
        #expect(answer.status == 200, "\(answer.text)")
        return try #require(answer.object["id"]?.string)
    }

    static func line(_ id: String, _ body: String) -> String {
        #"{"custom_id":"\#(id)","method":"POST","url":"/v1/embeddings","body":\#(body)}"#
    }

    func batch(_ id: String) async throws -> JSONObject {
        try await send(.get, "/v1/batches/\(id)").object
    }

    /// The lines of a batch's file.
    func lines(_ batch: JSONObject, _ file: String) async throws -> [JSONObject] {
        let id = try #require(batch[file]?.string)
        let content = try await send(.get, "/v1/files/\(id)/content")
        let described = try await send(.get, "/v1/files/\(id)").object
        #expect(described["bytes"]?.number?.integer == content.text.utf8.count)
        return try content.text.split(separator: "\n").map { try #require(try JSONValue(parsing: String($0)).object) }
    }

    /// Does the jobs' work, up to so many segments.
    func work(segments limit: Int = .max, failing: String? = nil) async throws {
        for _ in 0..<min(limit, 1_000) {
            let claim = SegmentClaim(
                worker: "test", fingerprint: embedder.model.fingerprint, maximumCount: 1, leaseDuration: .seconds(30))
            guard let segment = try await jobs.claimSegments(claim).first else { return }
            var outcomes: [InputOutcome] = []
            for input in try await jobs.load(segment) {
                if input.text == failing {
                    let error = ItemError(code: "poison", message: "cannot be read")
                    outcomes.append(InputOutcome(index: input.index, kind: .failed(error)))
                } else {
                    let embedding = try await embedder.embed(EmbeddingRequest(inputs: [.text(input.text)]))[0]
                    outcomes.append(InputOutcome(index: input.index, kind: .embedded(embedding)))
                }
            }
            #expect(try await jobs.finish(segment, with: outcomes) == .finished)
        }
    }
}
