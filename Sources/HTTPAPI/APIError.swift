import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore

/// An answer that is not a success, in OpenAI's shape.
struct APIError: Error {
    var status: HTTPResponse.Status
    /// A stable word for programs, and the label of the error counter.
    var code: String
    var message: String
    /// The field that is at fault.
    var field: String?
    var retryAfter: Duration?
    var headers: HTTPFields = [:]
    /// Members that stand beside `error`: what was done before it.
    var progress: JSONObject?

    init(
        _ status: HTTPResponse.Status, code: String, _ message: String, field: String? = nil,
        retryAfter: Duration? = nil, headers: HTTPFields = [:]
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.retryAfter = retryAfter
        self.headers = headers
    }

    /// OpenAI's names: clients sort errors by them.
    private var type: String {
        switch status.code {
        case 429: "tokens"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    /// What stands under `error`.
    var object: JSONValue {
        [
            "message": .string(message), "type": .string(type), "param": field.map { .string($0) } ?? .null,
            "code": .string(code),
        ]
    }

    /// The answer's body.
    var json: JSONValue {
        var body = JSONObject()
        body["error"] = object
        for member in progress?.members ?? [] { body[member.key] = member.value }
        return .object(body)
    }

    var response: Response {
        var response = Response.json(status, json)
        response.headers.append(contentsOf: headers)
        if let retryAfter {
            // OpenAI's libraries do not retry at all where they are told more than 120 s.
            let milliseconds = min(max(1, retryAfter.wholeMilliseconds), 120_000)
            response.headers[.retryAfter] = "\((milliseconds + 999) / 1_000)"
            response.headers[.retryAfterMilliseconds] = "\(milliseconds)"
        }
        return response
    }
}

extension Duration {
    /// Rounded up.
    var wholeMilliseconds: Int64 {
        let (fraction, rest) = components.attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
        return components.seconds * 1_000 + fraction + (rest > 0 ? 1 : 0)
    }
}

extension HTTPField.Name {
    static let retryAfterMilliseconds = known("retry-after-ms")
    static let requestID = known("X-Request-Id")
    static let requestTimeout = known("X-Request-Timeout-Ms")
    static let queueETA = known("X-Queue-Eta-Ms")
    static let serverTiming = known("Server-Timing")
    static let traceParent = known("traceparent")

    static func known(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("not a header name") }
        return name
    }
}
