/// Reads big-endian fields from the front of a message; what is not there throws.
package struct ByteReader {
    private var rest: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    package var remainingCount: Int { rest.count }

    package mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) throws(PostgresError) -> T {
        var value: T = 0
        for byte in try bytes(MemoryLayout<T>.size) {
            value = value << 8 | T(truncatingIfNeeded: byte)
        }
        return value
    }

    package mutating func bytes(_ count: Int) throws(PostgresError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= rest.count else {
            throw .decoding("\(count) bytes were expected where \(rest.count) are left")
        }
        let result = rest.prefix(count)
        rest = rest.dropFirst(count)
        return result
    }
}

extension Array where Element == UInt8 {
    /// Appends an integer's bytes, most significant first.
    package mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    package init<T: FixedWidthInteger>(bigEndian value: T) {
        self = Swift.withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
