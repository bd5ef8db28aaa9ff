import App
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A server on a free port of the loopback that answers as a test tells it.
enum LoopbackServer {
    struct Request: Sendable {
        /// Of all requests of the test, from 0.
        let number: Int
        let method: HTTPMethod
        let uri: String
        let headers: HTTPHeaders
        var body: [UInt8] = []

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    enum Answer: Sendable {
        case whole(HTTPResponseStatus, [(String, String)] = [], String = "")
        /// The promised body is longer than what comes before the connection ends.
        case cut(HTTPResponseStatus, [(String, String)] = [], String)
        case none

        static func json(_ status: HTTPResponseStatus = .ok, _ body: String) -> Answer {
            .whole(status, [("Content-Type", "application/json")], body)
        }
    }

    /// When the answer is given.
    enum Moment: Sendable {
        case afterBody
        /// Nothing more is read from then on.
        case afterHead
    }

    /// - Parameter closedConnectionCount: so many of the first connections are closed as they come.
    /// - Returns: what the body returned, and the requests that came.
    @discardableResult
    static func with<Result>(
        at moment: Moment = .afterBody, closedConnectionCount: Int = 0, answer: @escaping @Sendable (Request) -> Answer,
        _ body: (ServiceClient) async throws -> Result
    ) async throws -> (result: Result, requests: [Request]) {
        let log = Log()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(
                        Handler(
                            log: log, moment: moment, isClosed: log.connect() < closedConnectionCount, answer: answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = server.localAddress?.port ?? 0
        let client = ServiceClient(address: try ServiceAddress("http://127.0.0.1:\(port)/prefix/"), apiKey: "secret")
        do {
            let result = try await body(client)
            try await server.close()
            return (result, log.requests)
        } catch {
            try await server.close()
            throw error
        }
    }

    private final class Log: Sendable {
        private let all = Mutex<[Request]>([])
        private let connectionCount = Atomic(0)

        /// - Returns: how many connections there were before this one.
        func connect() -> Int { connectionCount.add(1, ordering: .relaxed).oldValue }

        var requests: [Request] { all.withLock { $0 } }

        func begin(_ head: HTTPRequestHead) -> Request {
            all.withLock { all in
                let request = Request(number: all.count, method: head.method, uri: head.uri, headers: head.headers)
                all.append(request)
                return request
            }
        }

        func end(_ request: Request) { all.withLock { $0[request.number] = request } }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let log: Log
        private let moment: Moment
        private let isClosed: Bool
        private let answer: @Sendable (Request) -> Answer
        private var request: Request?

        init(log: Log, moment: Moment, isClosed: Bool, answer: @escaping @Sendable (Request) -> Answer) {
            self.log = log
            self.moment = moment
            self.isClosed = isClosed
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            if isClosed { context.close(promise: nil) } else { context.fireChannelActive() }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                let begun = log.begin(head)
                request = begun
                guard moment == .afterHead else { return }
                context.channel.setOption(.autoRead, value: false).whenComplete { _ in }
                give(answer(begun), context)
            case .body(let buffer): request?.body += Array(buffer.readableBytesView)
            case .end:
                guard moment == .afterBody, let request else { return }
                log.end(request)
                give(answer(request), context)
            }
        }

        private func give(_ answer: Answer, _ context: ChannelHandlerContext) {
            let text: String
            let isCut: Bool
            switch answer {
            case .none:
                context.close(promise: nil)
                return
            case .whole(let status, let headers, let body):
                (text, isCut) = (body, false)
                writeHead(status, headers, byteCount: body.utf8.count, context)
            case .cut(let status, let headers, let body):
                (text, isCut) = (body, true)
                writeHead(status, headers, byteCount: body.utf8.count + 1_000, context)
            }
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            if isCut {
                context.flush()
                context.close(promise: nil)
            } else {
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        private func writeHead(
            _ status: HTTPResponseStatus, _ headers: [(String, String)], byteCount: Int,
            _ context: ChannelHandlerContext
        ) {
            var all = HTTPHeaders(headers)
            all.replaceOrAdd(name: "Content-Length", value: "\(byteCount)")
            context.write(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: all))), promise: nil)
        }
    }
}
