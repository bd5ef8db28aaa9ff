import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore

/// What a body is, by its `Content-Type` without parameters.
enum ContentType {
    case json
    case lines
    case form

    static func read(_ headers: HTTPFields) -> ContentType? {
        guard let value = headers[.contentType] else { return nil }
        let essence = value.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        switch essence {
        case "application/json": return .json
        case "application/x-ndjson": return .lines
        case "multipart/form-data": return .form
        default: return nil
        }
    }
}

extension Endpoints {
    /// What `make` reads out of the whole body, which is JSON.
    func jsonBody<Content: Sendable>(
        _ request: Request, _ permit: BodyPermit,
        _ make: @escaping @Sendable (JSONValue) throws(RequestError) -> Content
    ) async throws(APIError) -> Content {
        guard case .json = ContentType.read(request.headers) else {
            throw APIError(
                RequestError.unsupportedContentType(request.headers[.contentType], accepted: "application/json"))
        }
        return try await read(collect(request, permit), make)
    }

    /// As `jsonBody`, and nil for a request without a body.
    func optionalJSONBody<Content: Sendable>(
        _ request: Request, _ permit: BodyPermit,
        _ make: @escaping @Sendable (JSONValue) throws(RequestError) -> Content
    ) async throws(APIError) -> Content? {
        if request.headers[.contentType] != nil, ContentType.read(request.headers) != .json {
            return try await jsonBody(request, permit, make)
        }
        let buffer = try await collect(request, permit)
        guard buffer.readableBytes > 0 else { return nil }
        guard request.headers[.contentType] != nil else {
            throw APIError(RequestError.unsupportedContentType(nil, accepted: "application/json"))
        }
        return try await read(buffer, make)
    }

    private func read<Content: Sendable>(
        _ buffer: ByteBuffer, _ make: @escaping @Sendable (JSONValue) throws(RequestError) -> Content
    ) async throws(APIError) -> Content {
        do throws(RequestError) {
            return try await parser.read(buffer, make).get()
        } catch { throw APIError(error) }
    }

    private func collect(_ request: Request, _ permit: BodyPermit) async throws(APIError) -> ByteBuffer {
        // Refused before a byte of it is read, where the client says how much it is.
        if let length = request.headers[.contentLength].flatMap({ Int($0) }) {
            do throws(RequestError) {
                try checkLength(length)
                try permit.expect(length)
            } catch { throw APIError(error) }
        }
        var body = BodyReader(request.body)
        var collected = ByteBuffer()
        while var part = try await body.next() {
            let length = collected.readableBytes + part.readableBytes
            do throws(RequestError) {
                try checkLength(length)
                try permit.hold(length)
            } catch { throw APIError(error) }
            collected.writeBuffer(&part)
        }
        return collected
    }

    private func checkLength(_ length: Int) throws(RequestError) {
        guard length <= configuration.maxBodyBytes else { throw .bodyTooLarge(limit: configuration.maxBodyBytes) }
    }
}

/// A request's body part by part, its failures as answers.
struct BodyReader {
    private var iterator: RequestBody.AsyncIterator

    init(_ body: RequestBody) {
        iterator = body.makeAsyncIterator()
    }

    mutating func next() async throws(APIError) -> ByteBuffer? {
        do {
            return try await iterator.next()
        } catch let error as RequestError {
            throw APIError(error)
        } catch {
            throw APIError(RequestError.bodyIncomplete)
        }
    }
}
