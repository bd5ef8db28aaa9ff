extension Bool: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.bool }
    package static var arrayOID: UInt32 { PostgresType.boolArray }

    package var postgresParameter: PostgresParameter {
        PostgresParameter(typeOID: PostgresType.bool, bytes: [self ? 1 : 0])
    }

    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> Bool {
        guard typeOID == PostgresType.bool, bytes.count == 1 else { throw mismatch(typeOID, bytes) }
        return bytes.first != 0
    }
}

extension Int16: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.int2 }
    package static var arrayOID: UInt32 { PostgresType.int2Array }
}

extension Int32: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.int4 }
    package static var arrayOID: UInt32 { PostgresType.int4Array }
}

extension Int64: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.int8 }
    package static var arrayOID: UInt32 { PostgresType.int8Array }
}

extension Int: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.int8 }
    package static var arrayOID: UInt32 { PostgresType.int8Array }
}

/// As `oid`.
extension UInt32: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.oid }
    package static var arrayOID: UInt32 { PostgresType.oidArray }
}

extension PostgresElement where Self: FixedWidthInteger {
    package var postgresParameter: PostgresParameter {
        PostgresParameter(typeOID: Self.elementOID, bytes: [UInt8](bigEndian: self))
    }

    /// Without bytes of its own for each element.
    package static func encodeArray(_ elements: [Self]) -> PostgresParameter {
        let width = Int32(Self.bitWidth / 8)
        var bytes = PostgresArray.header(elementOID: elementOID, count: elements.count, hasNull: false)
        bytes.reserveCapacity(bytes.count + elements.count * Int(4 + width))
        for element in elements {
            bytes.appendBigEndian(width)
            bytes.appendBigEndian(element)
        }
        return PostgresParameter(typeOID: arrayOID, bytes: bytes)
    }

    /// Any integer column whose value fits.
    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> Self {
        var reader = ByteReader(bytes)
        let value: Int64
        switch (typeOID, bytes.count) {
        case (PostgresType.int2, 2): value = Int64(try reader.integer(Int16.self))
        case (PostgresType.int4, 4): value = Int64(try reader.integer(Int32.self))
        case (PostgresType.int8, 8): value = try reader.integer(Int64.self)
        case (PostgresType.oid, 4): value = Int64(try reader.integer(UInt32.self))
        default: throw mismatch(typeOID, bytes)
        }
        guard let result = Self(exactly: value) else { throw .decoding("\(value) does not fit a \(Self.self)") }
        return result
    }
}

extension Float: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.float4 }
    package static var arrayOID: UInt32 { PostgresType.float4Array }

    package var postgresParameter: PostgresParameter {
        PostgresParameter(typeOID: PostgresType.float4, bytes: [UInt8](bigEndian: bitPattern))
    }

    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> Float {
        guard typeOID == PostgresType.float4, bytes.count == 4 else { throw mismatch(typeOID, bytes) }
        var reader = ByteReader(bytes)
        return Float(bitPattern: try reader.integer())
    }
}

extension Double: PostgresElement {
    package static var elementOID: UInt32 { PostgresType.float8 }
    package static var arrayOID: UInt32 { PostgresType.float8Array }

    package var postgresParameter: PostgresParameter {
        PostgresParameter(typeOID: PostgresType.float8, bytes: [UInt8](bigEndian: bitPattern))
    }

    /// `float8`, or `float4` widened.
    package static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> Double {
        if typeOID == PostgresType.float4 { return Double(try Float.decode(bytes, typeOID: typeOID)) }
        guard typeOID == PostgresType.float8, bytes.count == 8 else { throw mismatch(typeOID, bytes) }
        var reader = ByteReader(bytes)
        return Double(bitPattern: try reader.integer())
    }
}

extension PostgresDecodable {
    static func mismatch(_ typeOID: UInt32, _ bytes: ArraySlice<UInt8>) -> PostgresError {
        .decoding("\(bytes.count) bytes of the type with OID \(typeOID) where a \(Self.self) was expected")
    }
}
