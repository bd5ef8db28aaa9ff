package import JSON
import NIOCore
package import NIOHTTP1
import NIOPosix

/// One request to the service.
package struct ServiceRequest: Sendable {
    package var method: HTTPMethod
    /// Without the address's prefix.
    package var path: String
    /// Names and values as they are; they are encoded on the way.
    package var query: [(String, String)] = []
    package var headers: [(String, String)] = []
    /// How long neither side may say anything; nil: for ever.
    package var silenceLimit: Duration? = .seconds(60)

    package init(_ method: HTTPMethod, _ path: String, query: [(String, String)] = [], headers: [(String, String)] = [])
    {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
    }
}

/// Speaks HTTP/1.1 with the service, a connection for each request. Bodies go and come at the pace of the slower side, so
/// their length costs no memory.
package struct ServiceClient: Sendable {
    package typealias Upload = @Sendable (_ write: @Sendable ([UInt8]) async throws -> Void) async throws -> Void

    package let address: ServiceAddress
    let apiKey: String?

    private static let connectTimeout = TimeAmount.seconds(10)
    /// Of an answer that is taken as a whole.
    private static let maximumDocumentByteCount = 32 << 20

    package init(address: ServiceAddress, apiKey: String?) {
        self.address = address
        self.apiKey = apiKey
    }

    /// Sends a request, streams its body if it has one, and hands over the answer as soon as its head is there, even while
    /// the body is still on its way.
    ///
    /// - Throws: `ServiceFailure`, what `receive` throws, and what `upload` throws where that is not the connection's end.
    package func exchange<Answer: Sendable>(
        _ request: ServiceRequest, upload: Upload? = nil,
        receive: (_ head: HTTPResponseHead, _ body: inout ServiceAnswerBody) async throws -> Answer
    ) async throws -> Answer {
        let channel = try await connect(silenceLimit: request.silenceLimit)
        let head = head(of: request, hasBody: upload != nil)
        do {
            return try await channel.executeThenClose { inbound, outbound in
                try await withThrowingTaskGroup(of: (any Error)?.self) { group in
                    group.addTask {
                        do {
                            try await Self.send(head, upload, to: outbound)
                            return nil
                        } catch is UploadEnd, is CancellationError {
                            // The server takes no more, or has answered already: its answer says why.
                            return nil
                        } catch {
                            // Ends the wait for an answer.
                            channel.channel.close(promise: nil)
                            return error
                        }
                    }
                    do {
                        var body = ServiceAnswerBody(parts: inbound.makeAsyncIterator())
                        let answer = try await receive(try await body.head(), &body)
                        group.cancelAll()
                        return answer
                    } catch {
                        group.cancelAll()
                        if let uploadError = try await group.next(), let uploadError { throw uploadError }
                        throw error
                    }
                }
            }
        } catch {
            throw Self.failure(of: error)
        }
    }

    private static func send(
        _ head: HTTPRequestHead, _ upload: Upload?, to outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    ) async throws {
        @Sendable func write(_ part: HTTPClientRequestPart) async throws {
            try Task.checkCancellation()
            do { try await outbound.write(part) } catch { throw UploadEnd() }
        }
        try await write(.head(head))
        try await upload? { try await write(.body(.byteBuffer(ByteBuffer(bytes: $0)))) }
        try await write(.end(nil))
    }

    /// Sends a request and takes its answer as a whole; anything but success is thrown.
    package func document(_ request: ServiceRequest, upload: Upload? = nil) async throws -> JSONObject {
        try await exchange(request, upload: upload) { head, body in
            try await Self.requireSuccess(head, &body)
            let bytes = try await body.all(limit: Self.maximumDocumentByteCount)
            // What it is instead is said by its start.
            guard let value = try? JSONValue(parsing: bytes), let object = value.object else {
                throw ServiceFailure.unexpected("HTTP \(head.status.code) without a JSON object")
            }
            return object
        }
    }

    /// Throws the service's refusal, in its own words.
    package static func requireSuccess(_ head: HTTPResponseHead, _ body: inout ServiceAnswerBody) async throws {
        guard !(200..<300).contains(head.status.code) else { return }
        let bytes = try await body.all(limit: 1 << 20)
        // A proxy's error page is no JSON; its status must do.
        let error = (try? JSONValue(parsing: bytes))?.object?["error"]?.object
        throw ServiceFailure.refused(
            status: Int(head.status.code), code: error?["code"]?.string ?? head.status.reasonPhrase,
            message: error?["message"]?.string ?? "the server refused")
    }

    private func connect(
        silenceLimit: Duration?
    ) async throws -> NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart> {
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(Self.connectTimeout)
                .connect(host: address.host, port: address.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let silenceLimit {
                            try channel.pipeline.syncOperations.addHandler(
                                IdleStateHandler(allTimeout: TimeAmount(silenceLimit)))
                            try channel.pipeline.syncOperations.addHandler(SilenceHandler())
                        }
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw ServiceFailure.unreachable("\(address.authority): \(error)")
        }
    }

    private func head(of request: ServiceRequest, hasBody: Bool) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: address.authority)
        headers.add(name: "User-Agent", value: "ovenbird/\(OvenbirdCommand.version)")
        headers.add(name: "Connection", value: "close")
        if let apiKey { headers.add(name: "Authorization", value: "Bearer \(apiKey)") }
        for (name, value) in request.headers { headers.add(name: name, value: value) }
        if hasBody {
            headers.add(name: "Transfer-Encoding", value: "chunked")
        } else if request.method == .POST {
            headers.add(name: "Content-Length", value: "0")
        }
        let query = request.query.map { "\(Self.encode($0))=\(Self.encode($1))" }.joined(separator: "&")
        let path = address.prefix + request.path + (query.isEmpty ? "" : "?" + query)
        return HTTPRequestHead(version: .http1_1, method: request.method, uri: path, headers: headers)
    }

    /// Percent-encodes all but RFC 3986's unreserved characters.
    static func encode(_ text: String) -> String {
        let hexadecimal = Array("0123456789ABCDEF".utf8)
        let bytes = text.utf8.flatMap { byte -> [UInt8] in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                [byte]
            default: [UInt8(ascii: "%"), hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What NIO throws is a lost connection; what is ours stays what it is.
    private static func failure(of error: any Error) -> any Error {
        switch error {
        case is ChannelError, is IOError, is HTTPParserError, is NIOAsyncWriterError: ServiceFailure.lost("\(error)")
        default: error
        }
    }
}

/// A write that found the connection closed.
private struct UploadEnd: Error {}

/// The body of an answer, in the pieces in which it comes.
package struct ServiceAnswerBody {
    private var parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
    private var hasEnded = false

    init(parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator) {
        self.parts = parts
    }

    mutating func head() async throws -> HTTPResponseHead {
        guard case .head(let head)? = try await parts.next() else {
            throw ServiceFailure.lost("the server closed it without an answer")
        }
        return head
    }

    /// Nil at the end.
    ///
    /// - Throws: `ServiceFailure.lost` where the connection ended before the answer did.
    package mutating func next() async throws -> [UInt8]? {
        guard !hasEnded else { return nil }
        switch try await parts.next() {
        case .body(let buffer): return Array(buffer.readableBytesView)
        case .end:
            hasEnded = true
            return nil
        case .head, nil: throw ServiceFailure.lost("the answer was cut off")
        }
    }

    /// - Throws: `ServiceFailure.unexpected` beyond `limit` bytes.
    mutating func all(limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let more = try await next() {
            guard bytes.count + more.count <= limit else {
                throw ServiceFailure.unexpected("an answer of more than \(limit) bytes")
            }
            bytes += more
        }
        return bytes
    }
}

/// Ends a connection on which nothing has come or gone for too long.
private final class SilenceHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is IdleStateHandler.IdleStateEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        context.fireErrorCaught(ServiceFailure.lost("nothing came or went for too long"))
        context.close(promise: nil)
    }
}
