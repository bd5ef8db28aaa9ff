import Postgres

// pgvector's `halfvec_send`: int16 dimensions, int16 0, then the values as IEEE 754 binary16, all big-endian.
extension HalfVector: PostgresDecodable {
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 + 2 * values.count)
        bytes.append(contentsOf: [
            UInt8(truncatingIfNeeded: values.count >> 8), UInt8(truncatingIfNeeded: values.count),
        ])
        bytes.append(contentsOf: [0, 0])
        for value in values {
            let pattern = value.bitPattern
            bytes.append(UInt8(truncatingIfNeeded: pattern >> 8))
            bytes.append(UInt8(truncatingIfNeeded: pattern))
        }
        return bytes
    }

    static func decode(_ bytes: ArraySlice<UInt8>, typeOID: UInt32) throws(PostgresError) -> HalfVector {
        let bytes = Array(bytes)
        guard bytes.count >= 4, bytes.count == 4 + 2 * (Int(bytes[0]) << 8 | Int(bytes[1])) else {
            throw .decoding("\(bytes.count) bytes that are no halfvec")
        }
        return HalfVector(
            values: stride(from: 4, to: bytes.count, by: 2).map {
                Float16(bitPattern: UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]))
            })
    }
}
