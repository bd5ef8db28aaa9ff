/// A set of bytes that is looked for in texts, fast where it has few members or none.
struct ByteSet: Sendable {
    /// (256)
    private var contains = [Bool](repeating: false, count: 256)
    /// Each member eight times over.
    private var patterns: [UInt64] = []

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool { contains[Int(byte)] }

    mutating func insert(_ byte: UInt8) {
        guard !contains(byte) else { return }
        contains[Int(byte)] = true
        patterns.append(UInt64(byte) &* Self.ones)
    }

    /// Where the first member stands in `start..<end`, which may be empty or reach beyond the bytes; else where that ends.
    func firstIndex(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
        let end = min(end, bytes.count)
        var index = start
        // With more members, byte by byte is as fast.
        if patterns.count <= 4 {
            while index &+ 8 <= end {
                let eight = bytes.bytes.eightBytes(at: index)
                var found: UInt64 = 0
                for pattern in patterns {
                    // A byte of zeros, and none below it, borrows from its upper bit.
                    let difference = eight ^ pattern
                    found |= (difference &- Self.ones) & ~difference
                }
                found &= Self.ones << 7
                if found != 0 { return index + found.trailingZeroBitCount >> 3 }
                index += 8
            }
        }
        while index < end, !contains(bytes[index]) { index += 1 }
        return index
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
}
