import JSON
package import NIOCore
package import NIOHTTP1

/// An answer, as far as a load test reads it: not its vectors.
package struct LoadAnswer: Sendable, Equatable {
    package let status: Int
    /// The usage's `prompt_tokens`, as the server counts them, `maximumTokenCount` at most; nil where it tells none.
    package let tokenCount: Int?
    /// A refusal's `error.code`, else its `type`; empty where there is neither.
    package let code: String
    /// The header, where it is a whole number of seconds; a date or anything else is nil.
    package let retryAfterSeconds: Int?
    package let retryAfterMilliseconds: Int?
    /// `X-Queue-Eta-Ms`.
    package let queueETAMilliseconds: Double?

    package var isSuccess: Bool { (200..<300).contains(status) }

    /// How long the server asks its caller to wait; nil where it does not.
    package var pause: Duration? {
        retryAfterMilliseconds.map { .milliseconds($0) } ?? retryAfterSeconds.map { .seconds($0) }
    }

    /// Seconds within which clients' libraries still heed the header.
    package static let usableRetryAfter = 1...120

    package init(head: HTTPResponseHead, body: ByteBuffer) {
        status = Int(head.status.code)
        let isSuccess = (200..<300).contains(status)
        tokenCount = isSuccess ? Self.promptTokens(of: body.readableBytesView) : nil
        code = isSuccess ? "" : Self.code(of: body)
        func whole(_ name: String) -> Int? {
            head.headers.first(name: name).flatMap { Int($0) }.flatMap { $0 < 0 ? nil : $0 }
        }
        retryAfterSeconds = whole("retry-after")
        retryAfterMilliseconds = whole("retry-after-ms")
        queueETAMilliseconds = head.headers.first(name: "x-queue-eta-ms").flatMap { Double($0) }
            .flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    }

    /// More than any answer's, and little enough for the sum of all answers of a run.
    package static let maximumTokenCount = 1 << 32

    // MARK: Bodies

    /// Where the usage is looked for: behind the vectors, or before them.
    private static let tailByteCount = 16 << 10
    private static let startByteCount = 1 << 10
    private static let usageKey = Array("\"prompt_tokens\"".utf8)

    /// The number behind `"prompt_tokens":` near the end of a body, or near its start.
    package static func promptTokens(of bytes: ByteBufferView) -> Int? {
        let tail = bytes.suffix(tailByteCount)
        if let place = lastPlace(of: usageKey, in: tail) { return number(in: bytes[place...]) }
        guard let place = lastPlace(of: usageKey, in: bytes.prefix(startByteCount)) else { return nil }
        return number(in: bytes[place...])
    }

    /// Behind the last occurrence.
    private static func lastPlace(of key: [UInt8], in bytes: ByteBufferView) -> Int? {
        guard bytes.count >= key.count else { return nil }
        var start = bytes.endIndex - key.count
        while start >= bytes.startIndex {
            if bytes[start + 1] == key[1], bytes[start..<start + key.count].elementsEqual(key) {
                return start + key.count
            }
            start -= 1
        }
        return nil
    }

    private static func number(in bytes: ByteBufferView) -> Int? {
        var value: Int?
        for byte in bytes.prefix(32) {
            switch byte {
            case 0x09, 0x0A, 0x0D, 0x20, UInt8(ascii: ":"): if value != nil { return value }
            case 0x30...0x39: value = min(maximumTokenCount, (value ?? 0) * 10 + Int(byte - 0x30))
            default: return value
            }
        }
        return value
    }

    private static let maximumErrorByteCount = 64 << 10

    private static func code(of body: ByteBuffer) -> String {
        // What is no JSON has no code; its status must do.
        guard body.readableBytes <= maximumErrorByteCount,
            let error = (try? JSONValue(parsing: Array(body.readableBytesView)))?.object?["error"]?.object
        else { return "" }
        let code = error["code"]?.string ?? error["code"]?.number?.literal ?? error["type"]?.string ?? ""
        return String(code.prefix(64))
    }
}
