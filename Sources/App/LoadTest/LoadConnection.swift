import NIOCore
import NIOHTTP1

/// A kept connection that carries one request at a time. Lives on its event loop.
final class LoadConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    struct Request {
        let textCount: Int
        let wanted: Duration
        let sent: Duration
    }

    enum Event {
        case answered(Request, HTTPResponseHead, ByteBuffer)
        /// The connection is of no use any more; the request, where there is one, got no whole answer.
        case ended(Request?, any Error)
    }

    /// A body beyond that is read and thrown away, and the answer counts as none.
    private static let maximumBodyByteCount = 256 << 20
    /// A greater buffer is not kept for the next answer.
    private static let keptByteCount = 1 << 20

    let lane: Int
    private let channel: any Channel
    private let report: (LoadConnection, Event) -> Void
    private(set) var request: Request?
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()
    private var failure: (any Error)?
    private var hasEnded = false

    /// - Parameter report: called on the event loop; `.ended` once, and nothing after it.
    init(lane: Int, channel: any Channel, report: @escaping (LoadConnection, Event) -> Void) {
        self.lane = lane
        self.channel = channel
        self.report = report
    }

    var isOpen: Bool { channel.isActive && !hasEnded }

    /// - Precondition: no request is under way.
    func send(_ request: Request, head: HTTPRequestHead, body: ByteBuffer) {
        precondition(self.request == nil)
        self.request = request
        let pipeline = channel.pipeline.syncOperations
        pipeline.write(NIOAny(HTTPClientRequestPart.head(head)), promise: nil)
        pipeline.write(NIOAny(HTTPClientRequestPart.body(.byteBuffer(body))), promise: nil)
        pipeline.writeAndFlush(NIOAny(HTTPClientRequestPart.end(nil)), promise: nil)
    }

    /// Ends the connection; what was under way is reported with this error.
    func close(_ error: any Error) {
        failure = failure ?? error
        channel.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear(minimumCapacity: 0)
        case .body(var piece):
            if body.readableBytes + piece.readableBytes > Self.maximumBodyByteCount {
                close(LoadError.answerTooLarge)
            } else if body.readableBytes == 0, body.capacity < piece.readableBytes {
                body = piece
            } else {
                body.writeBuffer(&piece)
            }
        case .end:
            guard let head, let request else {
                close(LoadError.unexpectedAnswer)
                return
            }
            self.request = nil
            self.head = nil
            let body = body
            if body.readableBytes > Self.keptByteCount { self.body = ByteBuffer() }
            report(self, .answered(request, head, body))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(error) }

    func channelInactive(context: ChannelHandlerContext) { end() }

    /// Reports the end where the connection was lost before this handler could hear of it.
    func endIfInactive() {
        if !channel.isActive { end() }
    }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        let request = request
        self.request = nil
        report(self, .ended(request, failure ?? LoadError.connectionLost))
    }
}

/// Why a request got no answer.
enum LoadError: Error, CustomStringConvertible {
    case connectionLost
    case noAnswerInTime
    case answerTooLarge
    case unexpectedAnswer

    var description: String {
        switch self {
        case .connectionLost: "the connection was lost before the answer was whole"
        case .noAnswerInTime: "no answer in time"
        case .answerTooLarge: "an answer beyond 256 MiB"
        case .unexpectedAnswer: "an answer that nobody had asked for"
        }
    }
}
