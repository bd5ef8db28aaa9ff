import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Ends what takes too long on one connection. Stands behind the HTTP decoder; `ConnectionWatch` decides, this performs.
///
/// Lives on the connection's event loop alone.
final class ConnectionDeadlines: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var watch: ConnectionWatch
    private var alarm: (time: NIODeadline, task: Scheduled<Void>)?
    private var sawPart = false
    private var responseEndsConnection = false

    init(limits: ConnectionWatch.Limits) {
        watch = ConnectionWatch(limits: limits, now: .now())
    }

    func handlerAdded(context: ChannelHandlerContext) {
        setAlarm(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        watch.close()
        alarm?.task.cancel()
        alarm = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        sawPart = true
        switch unwrapInboundIn(data) {
        case .head(let head):
            var isStream = false
            if case .lines = ContentType.read(head.headerFields) { isStream = true }
            watch.receivedHead(isStream: isStream, now: .now())
            if head.headerFields[.expect]?.lowercased() == "100-continue" {
                let response = HTTPResponse(status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(response)), promise: nil)
            }
        case .body(let buffer): watch.receivedBody(byteCount: buffer.readableBytes, now: .now())
        case .end: watch.receivedEnd(now: .now())
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !sawPart { watch.receivedBytes(now: .now()) }
        sawPart = false
        setAlarm(context)
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        watch.askedForMore(now: .now())
        setAlarm(context)
        context.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head):
            if watch.isQuiescing { head.headerFields[.connection] = "close" }
            responseEndsConnection = head.headerFields[.connection] == "close"
            watch.beganResponse(now: .now())
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let buffer):
            watch.wroteResponse(byteCount: buffer.readableBytes)
            context.write(data, promise: promise)
        case .end:
            let promise = promise ?? context.eventLoop.makePromise(of: Void.self)
            let endsConnection = responseEndsConnection
            promise.futureResult.assumeIsolated().whenSuccess {
                self.watch.flushedResponse(endsConnection: endsConnection, now: .now())
                self.setAlarm(context)
            }
            context.write(data, promise: promise)
        }
        setAlarm(context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent else { return context.fireUserInboundEventTriggered(event) }
        // Not passed on: Hummingbird's handler would close as soon as a response is written, before a slow client has it.
        if watch.quiesce() { context.close(promise: nil) }
    }

    private func setAlarm(_ context: ChannelHandlerContext) {
        guard let next = watch.next() else { return }
        // An alarm that rings too early sets the next one.
        if let alarm, alarm.time <= next.deadline { return }
        alarm?.task.cancel()
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: next.deadline) { self.ring(context) }
        alarm = (next.deadline, task)
    }

    private func ring(_ context: ChannelHandlerContext) {
        alarm = nil
        switch watch.expire(now: .now()) {
        case .refuse(.head): context.fireErrorCaught(RequestError.headTimedOut)
        case .refuse(.body): context.fireErrorCaught(RequestError.bodyTimedOut)
        case .close: context.close(promise: nil)
        case nil: break
        }
        setAlarm(context)
    }
}
