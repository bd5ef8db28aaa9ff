/// A set of bytes that is looked for in texts, fast where it has few members or none.
struct ByteSet: Sendable {
    /// (256)
    private var contains = [Bool](repeating: false, count: 256)
    /// Each member eight times over, while there are no more than four.
    private var patterns: [UInt64] = []
    private var memberCount = 0

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool { contains[Int(byte)] }

    mutating func insert(_ byte: UInt8) {
        guard !contains(byte) else { return }
        contains[Int(byte)] = true
        memberCount += 1
        patterns.append(UInt64(byte) &* Self.ones)
    }

    /// Where the first member stands in `start..<end`, which may reach beyond the bytes; else `start`, `end` or the end of
    /// the bytes, whichever is last but no more than the bytes.
    func firstIndex(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
        let end = min(end, bytes.count)
        var index = start
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
