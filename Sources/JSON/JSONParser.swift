/// Why a JSON text could not be read; `description` is safe to send to a client.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package let message: String
    /// Where, in bytes from the start of the text.
    package let offset: Int

    package init(message: String, offset: Int) {
        self.message = message
        self.offset = offset
    }

    package var description: String { "\(message) at byte \(offset)" }
}

extension JSONValue {
    /// Deeper texts are refused: the parser recurses, and a request must not be able to exhaust a thread's stack.
    package static let maximumDepth = 64

    /// Reads exactly one JSON value, with white space around it.
    /// - Parameter maximumValueCount: values, nested ones included, beyond which reading stops: small ones take many
    ///   times the memory of their text. A key counts as a value, and so does, once more, what is written in more than 15
    ///   bytes, which is kept apart. A value then takes 80 bytes at most, beside long texts.
    package init(
        parsing bytes: Span<UInt8>, maximumDepth: Int = JSONValue.maximumDepth, maximumValueCount: Int = .max
    ) throws(JSONError) {
        self = try bytes.withUnsafeBufferPointer { buffer throws(JSONError) in
            var parser = JSONParser(
                bytes: buffer, maximumDepth: maximumDepth, maximumValueCount: maximumValueCount)
            return try parser.parseDocument()
        }
    }

    package init(parsing bytes: [UInt8], maximumDepth: Int = JSONValue.maximumDepth) throws(JSONError) {
        try self.init(parsing: bytes.span, maximumDepth: maximumDepth)
    }

    package init(parsing text: String, maximumDepth: Int = JSONValue.maximumDepth) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
    }
}

/// A recursive-descent reader over borrowed bytes; lives only inside `JSONValue.init(parsing:)`.
private struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    let maximumDepth: Int
    let maximumValueCount: Int
    var position = 0
    var depth = 0
    var valueCount = 0

    init(bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int, maximumValueCount: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
        self.maximumValueCount = maximumValueCount
    }

    mutating func parseDocument() throws(JSONError) -> JSONValue {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
        let value = try parseValue()
        skipWhiteSpace()
        guard position == bytes.count else { throw failure("unexpected text after the JSON value") }
        return value
    }

    private mutating func parseValue() throws(JSONError) -> JSONValue {
        skipWhiteSpace()
        guard position < bytes.count else { throw failure("unexpected end of the JSON text") }
        try count()
        switch bytes[position] {
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "\""): return try parseString().value
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        default: throw failure("unexpected character")
        }
    }

    private mutating func parseObject() throws(JSONError) -> JSONValue {
        try descend()
        var object = JSONObject()
        var places: [ExactText: Int] = [:]
        var malformation: JSONValue?
        skipWhiteSpace()
        if !take(UInt8(ascii: "}")) {
            repeat {
                skipWhiteSpace()
                guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                    throw failure("expected a string as a key")
                }
                try count()
                let key = try parseString()
                skipWhiteSpace()
                guard take(UInt8(ascii: ":")) else { throw failure("expected ':'") }
                let value = try parseValue()
                switch key {
                case .text(let key):
                    if let place = places[ExactText(key)] {
                        object.members[place].value = value
                    } else {
                        places[ExactText(key)] = object.members.count
                        object.members.append(JSONObject.Member(key: key, value: value))
                    }
                case .malformed(let flaw): malformation = .malformed(reason: flaw.ofKey)
                }
                skipWhiteSpace()
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "}")) else { throw failure("expected ',' or '}'") }
        }
        depth -= 1
        return malformation ?? .object(object)
    }

    private mutating func parseArray() throws(JSONError) -> JSONValue {
        try descend()
        var elements: [JSONValue] = []
        skipWhiteSpace()
        if !take(UInt8(ascii: "]")) {
            repeat {
                elements.append(try parseValue())
                skipWhiteSpace()
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "]")) else { throw failure("expected ',' or ']'") }
        }
        depth -= 1
        return .array(elements)
    }

    private enum ParsedString {
        case text(String)
        case malformed(Malformation)

        var value: JSONValue {
            switch self {
            case .text(let text): .string(text)
            case .malformed(let flaw): .malformed(reason: flaw.ofString)
            }
        }
    }

    /// Its reasons are literals, which take no memory of their own however often they come.
    private enum Malformation {
        case loneSurrogate
        case notUTF8

        var ofString: String {
            switch self {
            case .loneSurrogate: "a string that holds a lone surrogate"
            case .notUTF8: "a string that is not valid UTF-8"
            }
        }

        var ofKey: String {
            switch self {
            case .loneSurrogate: "a key that holds a lone surrogate"
            case .notUTF8: "a key that is not valid UTF-8"
            }
        }
    }

    private mutating func parseString() throws(JSONError) -> ParsedString {
        position += 1
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\"),
            bytes[position] >= 0x20
        {
            position += 1
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
            let slice = UnsafeBufferPointer(rebasing: bytes[start..<position])
            position += 1
            return try text(of: slice, loneSurrogate: false)
        }
        var unescaped = Array(bytes[start..<position])
        var loneSurrogate = false
        while true {
            guard position < bytes.count else { throw failure("unterminated string") }
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try unescaped.withUnsafeBufferPointer { utf8 throws(JSONError) in
                    try text(of: utf8, loneSurrogate: loneSurrogate)
                }
            case UInt8(ascii: "\\"):
                position += 1
                if try !parseEscape(into: &unescaped) { loneSurrogate = true }
            case 0..<0x20: throw failure("unescaped control character in a string")
            default:
                unescaped.append(byte)
                position += 1
            }
        }
    }

    private mutating func text(
        of utf8: UnsafeBufferPointer<UInt8>, loneSurrogate: Bool
    ) throws(JSONError) -> ParsedString {
        if loneSurrogate { return .malformed(.loneSurrogate) }
        guard let text = String(validating: utf8, as: UTF8.self) else { return .malformed(.notUTF8) }
        if utf8.count > Self.longestInlineText { try count() }
        return .text(text)
    }

    /// Returns false for a surrogate without its partner.
    private mutating func parseEscape(into unescaped: inout [UInt8]) throws(JSONError) -> Bool {
        guard position < bytes.count else { throw failure("unterminated string") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(byte)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"):
            var code = try parseHexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { return false }
                let restart = position
                position += 2
                let low = try parseHexadecimal()
                guard (0xDC00..<0xE000).contains(low) else {
                    position = restart
                    return false
                }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { return false }
            unescaped.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default:
            position -= 1
            throw failure("unknown escape sequence")
        }
        return true
    }

    private mutating func parseHexadecimal() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw failure("unterminated \\u escape") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw failure("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    private mutating func parseNumber() throws(JSONError) -> JSONValue {
        let start = position
        _ = take(UInt8(ascii: "-"))
        guard position < bytes.count else { throw failure("expected a digit") }
        if !take(UInt8(ascii: "0")) { try takeDigits() }
        if take(UInt8(ascii: ".")) { try takeDigits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try takeDigits()
        }
        let literal = String(decoding: bytes[start..<position], as: UTF8.self)
        if literal.utf8.count > Self.longestInlineText { try count() }
        guard let value = Double(literal) else { throw failure("unreadable number") }
        return .number(JSONNumber(literal: literal, value: value))
    }

    private mutating func takeDigits() throws(JSONError) {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        guard position > start else { throw failure("expected a digit") }
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let length = word.utf8CodeUnitCount
        guard position + length <= bytes.count,
            word.withUTF8Buffer({ $0.elementsEqual(bytes[position..<position + length]) })
        else { throw failure("unexpected character") }
        position += length
        return value
    }

    /// Longer texts take a block of memory of their own.
    private static let longestInlineText = 15

    private mutating func count() throws(JSONError) {
        guard valueCount < maximumValueCount else { throw failure("more than \(maximumValueCount) values") }
        valueCount += 1
    }

    private mutating func descend() throws(JSONError) {
        guard depth < maximumDepth else { throw failure("nested deeper than \(maximumDepth) levels") }
        depth += 1
        position += 1
    }

    private mutating func skipWhiteSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private func failure(_ message: String) -> JSONError {
        JSONError(message: message, offset: position)
    }
}
