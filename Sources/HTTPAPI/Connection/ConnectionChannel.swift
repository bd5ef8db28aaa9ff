import Embeddings
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// One client's connection: reads requests, has them answered one after the other, notices when the client is gone.
///
///     reader ──requests──► responder ──responses──► writer        three tasks; the reader is the parent
///        └── end of input: cancels the responder, so that what the lost client waited for is not computed,
///            and the writer where it produces an answer while it sends it
///
/// Hummingbird's own loop cannot do the last without giving up keep-alive, and answers broken requests without a body.
struct ConnectionChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    private let pipeline: HTTP1Channel
    private let endpoints: Endpoints
    private let numbers = ConnectionNumbers()

    init(endpoints: Endpoints) {
        self.endpoints = endpoints
        let limits = ConnectionWatch.Limits(endpoints.configuration)
        let roster = ConnectionRoster(maximum: endpoints.configuration.maxConnections)
        pipeline = HTTP1Channel(
            responder: { _, _, _ in preconditionFailure("requests are answered by ConnectionChannel.handle") },
            configuration: .init(
                additionalChannelHandlers: [
                    ConnectionDeadlines(limits: limits, roster: roster, metrics: endpoints.metrics)
                ],
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 32 << 10, maxHeaderListSize: 64 << 10, maxHeaderFieldCount: 128)))
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        pipeline.setup(channel: channel, logger: logger).flatMapThrowing { connection in
            let pipeline = channel.pipeline.syncOperations
            let codec = try pipeline.handler(type: HTTP1ToHTTPServerCodec.self)
            try pipeline.addHandler(RequestHeadRules(), position: .before(codec))
            // The system takes an answer as the client does, and not in megabytes: its progress is seen while it is slow.
            try channel.syncOptions?.setOption(.tcpOption(.init(rawValue: TCP_NOTSENT_LOWAT)), value: 128 << 10)
            // A channel keeps the buffers that it has read into, by default four of 64 KiB.
            try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            try channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 2 << 10, initial: 2 << 10, maximum: 32 << 10))
            return connection
        }
    }

    func handle(value connection: Value, logger: Logger) async {
        let client = ClientID("connection \(numbers.next())")
        endpoints.metrics.openConnection()
        defer { endpoints.metrics.closeConnection() }
        do {
            try await connection.executeThenClose { inbound, outbound in
                let (requests, requestSink) = AsyncStream.makeStream(of: Exchange.self)
                let (responses, responseSink) = AsyncStream.makeStream(of: Answer.self)
                let (turns, turnSink) = AsyncStream.makeStream(of: Void.self)
                let presence = ClientPresence()
                await withTaskGroup(of: Void.self) { writing in
                    writing.addTask {
                        do {
                            try await write(responses, to: outbound, turns: turnSink, presence: presence)
                        } catch {
                            logger.debug("An answer was cut", metadata: ["error": "\(error)"])
                            // Its head may be out, and only the connection's end can say that the rest does not come.
                            connection.channel.close(promise: nil)
                        }
                    }
                    await withTaskGroup(of: Void.self) { responding in
                        responding.addTask {
                            for await exchange in requests { responseSink.yield(await answer(exchange, of: client)) }
                            responseSink.finish()
                        }
                        let ending = await read(inbound, into: requestSink, turns: turns)
                        requestSink.finish()
                        if case .clientLost = ending {
                            presence.lose()
                            responding.cancelAll()
                        }
                    }
                }
            }
        } catch {
            logger.trace("A connection failed", metadata: ["error": "\(error)"])
        }
    }

    private enum Exchange: Sendable {
        case request(Request, BodyArrival)
        case unreadable(RequestError)
    }

    private struct Answer: Sendable {
        let response: Response
        let closesConnection: Bool
    }

    /// Whether all of a request's body has come in. An atomic: one writer, the reader task; one reader, the responder.
    private final class BodyArrival: Sendable {
        private let isComplete = Atomic(false)

        func complete() { isComplete.store(true, ordering: .releasing) }
        var hasCompleted: Bool { isComplete.load(ordering: .acquiring) }
    }

    private enum Ending {
        /// The client closed its side. It may have closed only that (`shutdown`), but TCP does not tell the two apart
        /// before an answer is sent; like most servers we take it for gone.
        case clientLost
        /// What came cannot be read; the client still gets its answer.
        case unreadable
    }

    private func read(
        _ inbound: NIOAsyncChannelInboundStream<HTTPRequestPart>,
        into requests: AsyncStream<Exchange>.Continuation, turns: AsyncStream<Void>
    ) async -> Ending {
        var turns = turns.makeAsyncIterator()
        var isFirst = true
        var isClosing = false
        var body: RequestBody.Source?
        var arrival = BodyArrival()
        do {
            for try await part in inbound {
                switch part {
                // The answer closes the connection: what still comes is read and dropped, or a reset would
                // overtake the answer.
                case _ where isClosing: continue
                case .head(let head):
                    // A pipelined request waits here for its turn.
                    if !isFirst, await turns.next() == nil {
                        isClosing = true
                        continue
                    }
                    isFirst = false
                    let (stream, source) = RequestBody.makeStream()
                    body = source
                    arrival = BodyArrival()
                    // Its answer may be ready before the end of nothing is seen.
                    if !head.announcesBody { arrival.complete() }
                    requests.yield(.request(Request(head: head, body: stream), arrival))
                case .body(let buffer): await body?.yield(buffer)
                case .end:
                    arrival.complete()
                    body?.finish()
                    body = nil
                }
            }
            body?.finish(RequestError.bodyIncomplete)
            return .clientLost
        } catch {
            if error is IOError || error is ChannelError || error is CancellationError {
                body?.finish(RequestError.bodyIncomplete)
                return .clientLost
            }
            let reason = error as? RequestError
            if let body {
                body.finish(reason ?? RequestError.bodyIncomplete)
            } else {
                requests.yield(.unreadable(reason ?? .malformedRequest))
            }
            return .unreadable
        }
    }

    private func answer(_ exchange: Exchange, of client: ClientID) async -> Answer {
        var answer: Answer
        switch exchange {
        case .request(let request, let arrival):
            let response = await endpoints.respond(to: request, on: client)
            let wantsClose = request.headers[.connection]?.lowercased() == "close"
            answer = Answer(response: response, closesConnection: wantsClose || !arrival.hasCompleted)
        case .unreadable(let reason):
            answer = Answer(response: endpoints.refuse(reason), closesConnection: true)
        }
        return answer
    }

    private func write(
        _ answers: AsyncStream<Answer>, to outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>,
        turns: AsyncStream<Void>.Continuation, presence: ClientPresence
    ) async throws {
        defer { turns.finish() }
        for await answer in answers {
            var response = answer.response
            response.headers[.server] = endpoints.configuration.serverName
            response.headers[.date] = HTTPDate.now.description
            let closesConnection = answer.closesConnection || response.headers[.connection] == "close"
            if closesConnection { response.headers[.connection] = "close" }
            if response.isProduced {
                try await presence.whileThere { [response] in
                    try await ResponseWriter(outbound: outbound).write(response: response.head, body: response.body)
                }
            } else {
                try await ResponseWriter(outbound: outbound).write(response: response.head, body: response.body)
            }
            if closesConnection {
                outbound.finish()
                return
            }
            turns.yield()
        }
    }
}

/// Tells connections apart, as long as the process lives: a channel's address is another's once it is closed.
private final class ConnectionNumbers: Sendable {
    /// An atomic: one counter.
    private let last = Atomic(0)

    func next() -> Int { last.add(1, ordering: .relaxed).newValue }
}

extension HTTPRequest {
    /// Without either of these fields a request has no body (RFC 9112, 6.3).
    fileprivate var announcesBody: Bool {
        headerFields[.transferEncoding] != nil || headerFields[.contentLength].map { $0 != "0" } ?? false
    }
}
