extension String: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.text }
    package static var arrayOID: UInt32 { PostgresType.textArray }

    /// As `text`. The server refuses a NUL inside it (SQLSTATE 22021).
    package var postgresParameter: PostgresParameter {
        PostgresParameter(typeOID: PostgresType.text, bytes: Array(utf8))
    }

    /// Any type whose binary format is its text: `text` and its relatives, `json`, and enumerations or extension types
    /// such as `citext`.
    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> String {
        switch typeOID {
        case PostgresType.text, PostgresType.varchar, PostgresType.bpchar, PostgresType.name, PostgresType.unknown,
            PostgresType.json, PostgresType.firstUserDefined...:
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw .decoding("text that is not UTF-8")
            }
            return text
        default: throw mismatch(typeOID, bytes)
        }
    }
}

/// A `jsonb` value as its JSON text. The server validates it.
package struct JSONBText: Sendable, Hashable {
    package var text: String

    package init(_ text: String) {
        self.text = text
    }
}

// One version byte, 1, then the text (`jsonb_send` in jsonb.c).
extension JSONBText: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.jsonb }
    package static var arrayOID: UInt32 { PostgresType.jsonbArray }

    package var postgresParameter: PostgresParameter {
        PostgresParameter(typeOID: PostgresType.jsonb, bytes: [1] + text.utf8)
    }

    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> JSONBText {
        guard typeOID == PostgresType.jsonb, bytes.first == 1,
            let text = String(validating: bytes.dropFirst(), as: UTF8.self)
        else { throw mismatch(typeOID, bytes) }
        return JSONBText(text)
    }
}

/// A `timestamptz`.
package struct PostgresTimestamp: Sendable, Hashable {
    package var microsecondsSinceUnixEpoch: Int64

    package init(microsecondsSinceUnixEpoch: Int64) {
        self.microsecondsSinceUnixEpoch = microsecondsSinceUnixEpoch
    }
}

// Microseconds since 2000-01-01 00:00 UTC, which is 10,957 days after the Unix epoch.
extension PostgresTimestamp: PostgresElement {
    private static let postgresEpoch: Int64 = 10_957 * 86_400 * 1_000_000

    package static var elementOID: UInt32 { PostgresType.timestamptz }
    package static var arrayOID: UInt32 { PostgresType.timestamptzArray }

    package var postgresParameter: PostgresParameter {
        PostgresParameter(
            typeOID: PostgresType.timestamptz,
            bytes: [UInt8](bigEndian: microsecondsSinceUnixEpoch - Self.postgresEpoch))
    }

    package static func decode(
        _ bytes: ArraySlice<UInt8>, typeOID: UInt32
    ) throws(PostgresError) -> PostgresTimestamp {
        guard typeOID == PostgresType.timestamptz, bytes.count == 8 else { throw mismatch(typeOID, bytes) }
        var reader = ByteReader(bytes)
        let (value, overflow) = try reader.integer(Int64.self).addingReportingOverflow(postgresEpoch)
        guard !overflow else { throw .decoding("a timestamp out of range") }
        return PostgresTimestamp(microsecondsSinceUnixEpoch: value)
    }
}

/// `[UInt8]` is `bytea`.
extension UInt8: PostgresArrayElement {
    package static func encodeArray(_ elements: [UInt8]) -> PostgresParameter {
        PostgresParameter(typeOID: PostgresType.bytea, bytes: elements)
    }

    package static func decodeArray(
        _ bytes: ArraySlice<UInt8>, typeOID: UInt32
    ) throws(PostgresError) -> [UInt8] {
        guard typeOID == PostgresType.bytea else { throw [UInt8].mismatch(typeOID, bytes) }
        return Array(bytes)
    }
}

/// `[[UInt8]]` is `bytea[]`.
extension Array: PostgresArrayElement where Element == UInt8 {}

extension Array: PostgresElement where Element == UInt8 {
    package static var elementOID: UInt32 { PostgresType.bytea }
    package static var arrayOID: UInt32 { PostgresType.byteaArray }
}

extension Optional: PostgresEncodable where Wrapped: PostgresElement {
    package var postgresParameter: PostgresParameter {
        self?.postgresParameter ?? PostgresParameter(typeOID: Wrapped.elementOID, bytes: nil)
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> Wrapped? {
        try Wrapped.decode(bytes, typeOID: typeOID)
    }

    package static func decodeNull() throws(PostgresError) -> Wrapped? { nil }
}
