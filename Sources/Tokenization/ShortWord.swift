/// A normalized word of at most 16 bytes, held in two registers, so that comparing two words takes no loop.
struct ShortWord: Sendable, Equatable {
    static let maximumByteCount = 16

    /// The first eight bytes, the first of them lowest; zero beyond the word's end.
    let low: UInt64
    /// The other eight.
    let high: UInt64
    /// Tells a word that ends in U+0000 from one that does not.
    let byteCount: Int

    @inline(__always)
    init(low: UInt64, high: UInt64, byteCount: Int) {
        self.low = low
        self.high = high
        self.byteCount = byteCount
    }

    /// Nil where the word is empty or too long.
    init?(_ bytes: Span<UInt8>) {
        guard 1...Self.maximumByteCount ~= bytes.count else { return nil }
        low = bytes.bytes.eightBytes(at: 0)
        high = bytes.bytes.eightBytes(at: min(8, bytes.count))
        byteCount = bytes.count
    }

    func append(to bytes: inout [UInt8]) {
        for index in 0..<byteCount {
            let half = index < 8 ? low : high
            bytes.append(UInt8(truncatingIfNeeded: half >> UInt64(index % 8 * 8)))
        }
    }
}

extension RawSpan {
    /// The eight bytes from `offset` on, the first of them lowest; zero beyond the span's end.
    @inline(__always)
    func eightBytes(at offset: Int) -> UInt64 {
        if offset &+ 8 <= byteCount {
            return UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        return lastBytes(from: offset)
    }

    @inline(never)
    private func lastBytes(from offset: Int) -> UInt64 {
        if byteCount >= 8 {
            let last = UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: byteCount - 8, as: UInt64.self))
            return last >> UInt64((offset + 8 - byteCount) * 8)
        }
        var bytes: UInt64 = 0
        for index in offset..<byteCount {
            bytes |= UInt64(unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)) << UInt64((index - offset) * 8)
        }
        return bytes
    }
}
