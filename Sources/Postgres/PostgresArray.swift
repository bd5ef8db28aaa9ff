/// A one-dimensional array of any type, extension types included, in binary format.
package struct PostgresArray: PostgresEncodable {
    /// The element type's OID. The server refuses an array whose elements name another type, so it is never 0.
    package var elementOID: UInt32
    /// The array type's OID; 0 leaves it to the server to infer it from the statement.
    package var arrayOID: UInt32
    /// The elements in binary format; nil is NULL.
    package var elements: [[UInt8]?]

    package init(elementOID: UInt32, arrayOID: UInt32 = 0, elements: [[UInt8]?]) {
        self.elementOID = elementOID
        self.arrayOID = arrayOID
        self.elements = elements
    }

    /// What precedes the elements, each of which is its length as int32 (-1 for NULL) and its bytes.
    // int32 dimensions, int32 has-null flag, int32 element OID, then for the one dimension int32 count and int32 lower
    // bound. (PostgreSQL, `array_recv` in arrayfuncs.c.)
    package static func header(elementOID: UInt32, count: Int, hasNull: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(Int32(count == 0 ? 0 : 1))
        bytes.appendBigEndian(Int32(hasNull ? 1 : 0))
        bytes.appendBigEndian(elementOID)
        guard count > 0 else { return bytes }
        bytes.appendBigEndian(Int32(count))
        bytes.appendBigEndian(Int32(1))
        return bytes
    }

    package var postgresParameter: PostgresParameter {
        var bytes = Self.header(
            elementOID: elementOID, count: elements.count, hasNull: elements.contains { $0 == nil })
        bytes.reserveCapacity(bytes.count + elements.reduce(0) { $0 + 4 + ($1?.count ?? 0) })
        for element in elements {
            guard let element else {
                bytes.appendBigEndian(Int32(-1))
                continue
            }
            bytes.appendBigEndian(Int32(element.count))
            bytes += element
        }
        return PostgresParameter(typeOID: arrayOID, bytes: bytes)
    }

    /// Reads an array of at most one dimension.
    package init(bytes: ArraySlice<UInt8>) throws(PostgresError) {
        var reader = ByteReader(bytes)
        let dimensionCount = try reader.integer(Int32.self)
        _ = try reader.integer(Int32.self)
        elementOID = try reader.integer(UInt32.self)
        arrayOID = 0
        elements = []
        guard dimensionCount > 0 else { return }
        guard dimensionCount == 1 else {
            throw .decoding("an array of \(dimensionCount) dimensions where one was expected")
        }
        let count = try reader.integer(Int32.self)
        _ = try reader.integer(Int32.self)
        // Each element takes four bytes or more, so a count beyond that is a broken message.
        guard count >= 0, Int(count) <= reader.remainingCount / 4 else { throw .decoding("a broken array") }
        elements.reserveCapacity(Int(count))
        for _ in 0..<count {
            let length = try reader.integer(Int32.self)
            elements.append(length < 0 ? nil : Array(try reader.bytes(Int(length))))
        }
    }
}

/// A type that arrays can hold. `UInt8` is one of them so that `[UInt8]` is `bytea`.
package protocol PostgresArrayElement: Sendable {
    static func encodeArray(_ elements: [Self]) -> PostgresParameter
    static func decodeArray(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> [Self]
}

/// A type with a fixed OID, alone or in arrays.
package protocol PostgresElement: PostgresEncodable, PostgresDecodable, PostgresArrayElement {
    static var elementOID: UInt32 { get }
    static var arrayOID: UInt32 { get }
}

extension PostgresElement {
    package static func encodeArray(_ elements: [Self]) -> PostgresParameter {
        PostgresArray(
            elementOID: elementOID, arrayOID: arrayOID, elements: elements.map { $0.postgresParameter.bytes }
        ).postgresParameter
    }

    package static func decodeArray(
        _ bytes: ArraySlice<UInt8>, typeOID: UInt32
    ) throws(PostgresError) -> [Self] {
        let array = try PostgresArray(bytes: bytes)
        var result: [Self] = []
        result.reserveCapacity(array.elements.count)
        for element in array.elements {
            guard let element else {
                result.append(try decodeNull())
                continue
            }
            result.append(try decode(element[...], typeOID: array.elementOID))
        }
        return result
    }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
    package var postgresParameter: PostgresParameter { Element.encodeArray(self) }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> [Element] {
        try Element.decodeArray(bytes, typeOID: typeOID)
    }
}

extension Optional: PostgresArrayElement where Wrapped: PostgresElement {
    package static func encodeArray(_ elements: [Wrapped?]) -> PostgresParameter {
        PostgresArray(
            elementOID: Wrapped.elementOID, arrayOID: Wrapped.arrayOID,
            elements: elements.map { $0?.postgresParameter.bytes }
        ).postgresParameter
    }

    package static func decodeArray(
        _ bytes: ArraySlice<UInt8>, typeOID: UInt32
    ) throws(PostgresError) -> [Wrapped?] {
        let array = try PostgresArray(bytes: bytes)
        var result: [Wrapped?] = []
        result.reserveCapacity(array.elements.count)
        for element in array.elements {
            guard let element else {
                result.append(nil)
                continue
            }
            result.append(try Wrapped.decode(element[...], typeOID: array.elementOID))
        }
        return result
    }
}
