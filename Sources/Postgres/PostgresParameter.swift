/// One bound value in PostgreSQL's binary format.
package struct PostgresParameter: Sendable, Equatable {
    /// The type's OID; 0 leaves it to the server to infer it from the statement.
    package var typeOID: UInt32
    /// The value's bytes; nil is NULL.
    package var bytes: [UInt8]?

    package init(typeOID: UInt32, bytes: [UInt8]?) {
        self.typeOID = typeOID
        self.bytes = bytes
    }
}

/// A value that can be bound to a statement.
package protocol PostgresEncodable: Sendable {
    var postgresParameter: PostgresParameter { get }
}

/// A value that can be read from a row.
package protocol PostgresDecodable: Sendable {
    /// Reads a value that is not NULL.
    ///
    /// - Parameters:
    ///   - bytes: the value in binary format.
    ///   - typeOID: the column's type.
    static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> Self

    /// What NULL is read as. Only `Optional` has an answer; every other type throws.
    static func decodeNull() throws(PostgresError) -> Self
}

extension PostgresDecodable {
    package static func decodeNull() throws(PostgresError) -> Self {
        throw .decoding("NULL where a \(Self.self) was expected")
    }
}

/// OIDs of built-in types, from PostgreSQL's `pg_type.dat`; they never change.
package enum PostgresType {
    package static let bool: UInt32 = 16
    package static let bytea: UInt32 = 17
    package static let name: UInt32 = 19
    package static let int8: UInt32 = 20
    package static let int2: UInt32 = 21
    package static let int4: UInt32 = 23
    package static let text: UInt32 = 25
    package static let oid: UInt32 = 26
    package static let json: UInt32 = 114
    package static let float4: UInt32 = 700
    package static let float8: UInt32 = 701
    package static let unknown: UInt32 = 705
    package static let bpchar: UInt32 = 1042
    package static let varchar: UInt32 = 1043
    package static let timestamptz: UInt32 = 1184
    package static let jsonb: UInt32 = 3802
    package static let boolArray: UInt32 = 1000
    package static let byteaArray: UInt32 = 1001
    package static let int2Array: UInt32 = 1005
    package static let int4Array: UInt32 = 1007
    package static let textArray: UInt32 = 1009
    package static let int8Array: UInt32 = 1016
    package static let float4Array: UInt32 = 1021
    package static let float8Array: UInt32 = 1022
    package static let oidArray: UInt32 = 1028
    package static let timestamptzArray: UInt32 = 1185
    package static let jsonbArray: UInt32 = 3807
    /// The first OID that a server gives to what its users (and extensions) make.
    package static let firstUserDefined: UInt32 = 16384
}
