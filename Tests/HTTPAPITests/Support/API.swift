import Embeddings
import HTTPAPI
import HTTPTypes
import HummingbirdCore
import JSON
import Logging
import Metrics
import NIOCore
import Synchronization
import Testing

/// The whole API without a socket.
struct API {
    let service: HTTPService
    let embedder: HashEmbedder
    let store: FaultyStore?
    let jobs: FakeJobStore?
    let bell = Bell()

    init(
        embedder: HashEmbedder = HashEmbedder(), store: FaultyStore? = FaultyStore(),
        jobs: FakeJobStore? = FakeJobStore(), tokensPerSecond: Double? = 1_000,
        batcher: LiveBatcher? = nil,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, logger: Logger = API.silent,
        configure: (inout HTTPConfiguration) -> Void = { _ in },
        isMemoryShort: @escaping @Sendable () -> Bool = { false }
    ) {
        var configuration = HTTPConfiguration()
        configuration.readinessLifetime = .zero
        configure(&configuration)
        self.embedder = embedder
        self.store = store
        self.jobs = jobs
        let bell = bell
        service = HTTPService(
            configuration: configuration, embedder: embedder, store: store, jobs: jobs,
            onJobCommitted: { bell.ring() }, countTokens: HashEmbedder.count, tokensPerSecond: { tokensPerSecond },
            activity: batcher?.look, isMemoryShort: isMemoryShort, info: { ["version": "test"] },
            metricsText: { "ovenbird_up 1\n" }, metrics: metrics, logger: logger)
    }

    /// How often a runner was told of work.
    final class Bell: Sendable {
        private let rings = Atomic(0)

        func ring() { rings.add(1, ordering: .relaxed) }
        var count: Int { rings.load(ordering: .relaxed) }
    }

    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    struct Answer {
        let status: Int
        let headers: HTTPFields
        let text: String
        let json: JSONValue?

        var object: JSONObject { json?.object ?? JSONObject() }
        var error: JSONObject { object["error"]?.object ?? JSONObject() }
        var code: String? { error["code"]?.string }
        var field: String? { error["param"]?.string }
        var message: String { error["message"]?.string ?? "" }

        func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
        func count(_ name: String) -> Int? { object[name]?.number?.integer }
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, type: String? = "application/json",
        headers: HTTPFields = [:], host: String? = "localhost:8080", connection: ClientID = .unnamed
    ) async throws -> Answer {
        try await send(
            method, path, pieces: body.map { [Array($0.utf8)] } ?? [], type: type, headers: headers, host: host,
            connection: connection)
    }

    /// With a body that arrives in pieces.
    func send(
        _ method: HTTPRequest.Method, _ path: String, pieces: [[UInt8]], type: String? = "application/json",
        headers: HTTPFields = [:], host: String? = "localhost:8080", connection: ClientID = .unnamed
    ) async throws -> Answer {
        var fields = headers
        if !pieces.isEmpty, let type { fields[.contentType] = type }
        let head = HTTPRequest(method: method, scheme: "http", authority: host, path: path, headerFields: fields)
        let (stream, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
        for piece in pieces { continuation.yield(ByteBuffer(bytes: piece)) }
        continuation.finish()
        return try await Answer(
            service.respond(to: Request(head: head, body: RequestBody(asyncSequence: stream)), on: connection))
    }

    /// As `send`, with headers of other names than HTTP's own, and on a connection.
    func post(
        _ path: String, _ body: String, type: String = "application/json", on connection: ClientID = .unnamed,
        _ headers: KeyValuePairs<String, String>
    ) async throws -> Answer {
        var fields = HTTPFields()
        for (name, value) in headers {
            fields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
        }
        return try await send(.post, path, body, type: type, headers: fields, connection: connection)
    }

    func lines(_ lines: String..., collection: String = "demo") async throws -> Answer {
        try await send(
            .post, "/v1/collections/\(collection)/documents", lines.joined(separator: "\n"),
            type: "application/x-ndjson")
    }

    func upsert(_ documents: String, collection: String = "demo") async throws -> Answer {
        try await send(.post, "/v1/collections/\(collection)/documents", #"{"documents":[\#(documents)]}"#)
    }

    func search(_ body: String, collection: String = "demo") async throws -> Answer {
        try await send(.post, "/v1/collections/\(collection)/search", body)
    }

    func embeddings(_ body: String) async throws -> Answer {
        try await send(.post, "/v1/embeddings", body)
    }

    /// With the collection `demo`.
    func prepared() async throws -> API {
        _ = try await send(.put, "/v1/collections/demo")
        return self
    }
}

extension API.Answer {
    init(_ response: Response) async throws {
        let collector = Collector()
        try await response.body.write(collector)
        let bytes = collector.bytes
        self.init(
            status: Int(response.status.code), headers: response.headers, text: String(decoding: bytes, as: UTF8.self),
            json: try? JSONValue(parsing: bytes))
    }

    private final class Collector: ResponseBodyWriter {
        private(set) var bytes: [UInt8] = []

        func write(_ buffer: ByteBuffer) { bytes += buffer.readableBytesView }
        func finish(_ trailingHeaders: HTTPFields?) {}
    }
}
