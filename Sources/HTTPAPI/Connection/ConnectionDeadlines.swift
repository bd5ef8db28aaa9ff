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

    /// Bytes of an answer's body that are written as one: how finely its progress is seen.
    private static let sliceSize = 64 << 10

    private let metrics: HTTPMetrics
    private let roster: ConnectionRoster
    private var wasIdle = true
    private var watch: ConnectionWatch
    private var alarm: (time: NIODeadline, task: Scheduled<Void>)?
    private var sawPart = false
    private var responseEndsConnection = false

    init(limits: ConnectionWatch.Limits, roster: ConnectionRoster, metrics: HTTPMetrics) {
        self.roster = roster
        self.metrics = metrics
        watch = ConnectionWatch(limits: limits, now: .now())
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound((self, context), eventLoop: eventLoop)
        let hasMadeRoom = roster.enter(ObjectIdentifier(self), now: .now()) {
            eventLoop.execute {
                let (handler, context) = bound.value
                if handler.watch.isIdle { context.close(promise: nil) }
            }
        }
        if hasMadeRoom { metrics.countEviction() }
        setAlarm(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        roster.leave(ObjectIdentifier(self))
        watch.close()
        alarm?.task.cancel()
        alarm = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        sawPart = true
        switch unwrapInboundIn(data) {
        case .head(let head):
            let isStream =
                switch ContentType.read(head.headerFields) {
                case .lines, .form: true
                case .json, nil: false
                }
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
            write(.head(head), byteCount: 1, context, promise)
        case .body(var buffer):
            while buffer.readableBytes > Self.sliceSize, let slice = buffer.readSlice(length: Self.sliceSize) {
                write(.body(slice), byteCount: slice.readableBytes, context, nil)
            }
            write(.body(buffer), byteCount: buffer.readableBytes, context, promise)
        case .end(let trailers):
            let promise = promise ?? context.eventLoop.makePromise(of: Void.self)
            let endsConnection = responseEndsConnection
            write(.end(trailers), byteCount: 1, context, promise)
            promise.futureResult.assumeIsolated().whenSuccess {
                self.watch.flushedResponse(endsConnection: endsConnection, now: .now())
                self.setAlarm(context)
            }
        }
        setAlarm(context)
    }

    /// - Parameter byteCount: what the part counts for in the response's progress.
    private func write(
        _ part: HTTPResponsePart, byteCount: Int, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
    ) {
        let promise = promise ?? context.eventLoop.makePromise(of: Void.self)
        watch.wroteResponse(byteCount: byteCount, now: .now())
        promise.futureResult.assumeIsolated().whenSuccess {
            self.watch.handedOverResponse(byteCount: byteCount, now: .now())
        }
        context.write(wrapOutboundOut(part), promise: promise)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent else { return context.fireUserInboundEventTriggered(event) }
        // Not passed on: Hummingbird's handler would close as soon as a response is written, before a slow client has it.
        if watch.quiesce() { context.close(promise: nil) }
    }

    /// After every event: what it changed for others, and when the next thing is due.
    private func setAlarm(_ context: ChannelHandlerContext) {
        let isIdle = watch.isIdle
        if isIdle != wasIdle {
            wasIdle = isIdle
            roster.note(ObjectIdentifier(self), idleSince: isIdle ? .now() : nil)
        }
        guard let next = watch.next() else { return }
        // An alarm that rings too early sets the next one.
        if let alarm, alarm.time <= next.deadline { return }
        alarm?.task.cancel()
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: next.deadline) { self.ring(context) }
        alarm = (next.deadline, task)
    }

    private func ring(_ context: ChannelHandlerContext) {
        alarm = nil
        let isAnswering = watch.isAnswering
        switch watch.expire(now: .now()) {
        case .refuse(.head): context.fireErrorCaught(RequestError.headTimedOut)
        case .refuse(.body): context.fireErrorCaught(RequestError.bodyTimedOut)
        case .close:
            if isAnswering { metrics.countSlowReader() }
            context.close(promise: nil)
        case nil: break
        }
        setAlarm(context)
    }
}
