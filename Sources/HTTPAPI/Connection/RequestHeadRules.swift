import NIOCore
import NIOHTTP1

/// What HTTP/1 asks of a request's head beyond its grammar (RFC 9112, 3.2 and 9.3). Stands where the version is still
/// known, before the codec that makes version-free requests of HTTP/1's.
///
/// Lives on the connection's event loop alone.
final class RequestHeadRules: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private var hasRefused = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasRefused else { return }
        guard case .head(var head) = unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        let isOld = (head.version.major, head.version.minor) < (1, 1)
        let hostCount = head.headers["Host"].count
        guard hostCount == 1 || (isOld && hostCount == 0) else {
            hasRefused = true
            return context.fireErrorCaught(RequestError.hostNotSingle)
        }
        // Whoever speaks HTTP/1.0 takes the end of the connection for the end of the answer.
        if isOld { head.headers.replaceOrAdd(name: "Connection", value: "close") }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }
}
