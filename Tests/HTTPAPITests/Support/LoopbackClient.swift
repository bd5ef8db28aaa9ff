import Embeddings
import HTTPAPI
import JSON
import Metrics
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The server on a port of 127.0.0.1 for the time of a closure.
func withServer<Result: Sendable>(
    embedder: HashEmbedder = HashEmbedder(), store: FaultyStore = FaultyStore(),
    jobs: FakeJobStore = FakeJobStore(), batcher: LiveBatcher? = nil,
    metrics: any MetricsFactory = NOOPMetricsHandler.instance,
    configure: (inout HTTPConfiguration) -> Void = { _ in },
    _ body: @Sendable @escaping (_ server: RunningServer) async throws -> Result
) async throws -> Result {
    var configuration = HTTPConfiguration()
    configuration.port = 0
    configure(&configuration)
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    let service = HTTPService(
        configuration: configuration, embedder: embedder, store: store, jobs: jobs,
        countTokens: HashEmbedder.count, activity: batcher?.look, info: { [:] }, metricsText: { "" },
        metrics: metrics, logger: API.silent,
        onListening: { continuation.yield($0) })
    let services = ServiceGroup(services: [service], logger: API.silent)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await services.run() }
        var iterator = ports.makeAsyncIterator()
        let port = await iterator.next() ?? 0
        let result = try await body(RunningServer(port: port, services: services, embedder: embedder))
        await services.triggerGracefulShutdown()
        try await group.waitForAll()
        return result
    }
}

struct RunningServer: Sendable {
    let port: Int
    fileprivate let services: ServiceGroup
    let embedder: HashEmbedder

    func stop() async {
        await services.triggerGracefulShutdown()
    }

    /// One connection, written and read as raw bytes.
    func withConnection<Result: Sendable>(
        _ body: @Sendable @escaping (inout RawConnection) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var connection = RawConnection(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&connection)
        }
    }

    /// One request on a connection of its own.
    func send(_ request: String) async throws -> RawAnswer {
        try await withConnection { connection in
            try await connection.write(request)
            return try await connection.readAnswer()
        }
    }
}

struct RawAnswer: Sendable, Equatable {
    let status: Int
    let head: String
    let body: String

    var json: JSONObject { (try? JSONValue(parsing: body))?.object ?? JSONObject() }
    var code: String? { json["error"]?.object?["code"]?.string }
}

struct RawConnection {
    var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var unread: [UInt8] = []

    init(
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    struct Ended: Error {}

    func write(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    /// Reads one answer with a `Content-Length`.
    mutating func readAnswer() async throws -> RawAnswer {
        let blank = Array("\r\n\r\n".utf8)
        var end = Self.find(blank, in: unread)
        while end == nil {
            try await readMore()
            end = Self.find(blank, in: unread)
        }
        let head = String(decoding: unread[..<(end ?? 0)], as: UTF8.self)
        let lines = head.split(separator: "\r\n")
        let status = Int(lines.first?.split(separator: " ").dropFirst().first ?? "") ?? 0
        let lengthLine = lines.first { $0.lowercased().hasPrefix("content-length:") }
        let length = lengthLine.flatMap { Int($0.split(separator: " ").last ?? "") } ?? 0
        let start = (end ?? 0) + blank.count
        while unread.count < start + length { try await readMore() }
        let body = String(decoding: unread[start..<(start + length)], as: UTF8.self)
        unread.removeFirst(start + length)
        return RawAnswer(status: status, head: head, body: body)
    }

    /// Reads until what has come holds `text`, and takes everything up to its end.
    mutating func read(through text: String) async throws -> String {
        let pattern = Array(text.utf8)
        while true {
            if let start = Self.find(pattern, in: unread) {
                let taken = String(decoding: unread[..<(start + pattern.count)], as: UTF8.self)
                unread.removeFirst(start + pattern.count)
                return taken
            }
            try await readMore()
        }
    }

    /// Everything until the server closes the connection.
    mutating func readToEnd() async -> String {
        // The end comes as an error where the connection is cut.
        while (try? await readMore()) != nil {}
        return String(decoding: unread, as: UTF8.self)
    }

    /// How many bytes come until the server closes the connection.
    mutating func countToEnd() async -> Int {
        var count = unread.count
        unread = []
        while (try? await readMore()) != nil {
            count += unread.count
            unread = []
        }
        return count
    }

    /// Whether the server closes the connection, sending nothing more.
    mutating func isClosedByServer() async -> Bool {
        do {
            try await readMore()
            return false
        } catch { return true }
    }

    private mutating func readMore() async throws {
        guard let buffer = try await inbound.next() else { throw Ended() }
        unread += buffer.readableBytesView
    }

    private static func find(_ pattern: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= pattern.count else { return nil }
        return (0...(bytes.count - pattern.count)).first { bytes[$0..<($0 + pattern.count)].elementsEqual(pattern) }
    }
}

extension String {
    /// A request with a body.
    static func post(_ path: String, _ body: String, type: String = "application/json", extra: String = "") -> String {
        "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n\(extra)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static func get(_ path: String, extra: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(extra)\r\n"
    }
}
