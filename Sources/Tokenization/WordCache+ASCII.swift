extension WordCache {
    /// Why reading known words ended.
    enum Stop {
        /// The storage for ids is full, or the limit is reached.
        case outOfRoom
        /// The cache does not know the word that ended at `position`.
        case unknown(ShortWord)
        /// At the end, or at a word that is not covered.
        case finished
    }

    /// Appends what the cache knows of the words from `position` on, while there are at most `limit` ids.
    func appendKnownWords(
        of bytes: Span<UInt8>, from position: inout Int, rules: ASCIIRules, to tokens: inout TokenBuffer, limit: Int
    ) -> Stop {
        let roles = rules.roles.span
        let punctuationIDs = rules.punctuationIDs.span
        let entries = entries.span
        var place = position
        defer { position = place }
        return tokens.withRoom(for: Self.maximumPieceCount) { ids, count in
            let roof = min(limit, ids.count - Self.maximumPieceCount)
            while place < bytes.count {
                guard count <= roof else { return .outOfRoom }
                var word = ASCIIRun(bytes.bytes.eightBytes(at: place), caseBits: rules.caseBits)
                guard word.byteCount > 0 else {
                    let byte = Int(bytes[place])
                    switch roles[byte] {
                    case .space: break
                    case .punctuation:
                        ids[count] = punctuationIDs[byte]
                        count += 1
                    case .word, .unusual: return .finished
                    }
                    place += 1
                    continue
                }
                if word.byteCount == 8 {
                    word.append(bytes.bytes.eightBytes(at: min(place + 8, bytes.count)), caseBits: rules.caseBits)
                }
                let end = place + word.byteCount
                let next = end < bytes.count ? bytes[end] : 0x20
                guard roles[Int(next)].endsWord else { return .finished }
                let short = word.short
                let set = Self.place(of: short, shift: shift)
                var entry = entries[set]
                if !entry.holds(short) {
                    entry = entries[set + 1]
                    guard entry.holds(short) else {
                        place = end
                        return .unknown(short)
                    }
                }
                for piece in 0..<3 { ids[count + piece] = entry.id(piece) }
                if entry.pieceCount > 3 {
                    for piece in 3..<6 { ids[count + piece] = entry.id(piece) }
                }
                count += entry.pieceCount
                place = next == 0x20 ? end + 1 : end
            }
            return .finished
        }
    }
}

/// The ASCII letters and digits that a text has at a place, up to sixteen, in lower case where that is asked for.
private struct ASCIIRun {
    private var low: UInt64
    private var high: UInt64 = 0
    private(set) var byteCount: Int

    @inline(__always)
    init(_ bytes: UInt64, caseBits: UInt64) {
        (low, byteCount) = Self.run(bytes, caseBits: caseBits)
    }

    /// Goes on with the next eight bytes.
    @inline(__always)
    mutating func append(_ bytes: UInt64, caseBits: UInt64) {
        let (run, count) = Self.run(bytes, caseBits: caseBits)
        high = run
        byteCount += count
    }

    @inline(__always)
    var short: ShortWord { ShortWord(low: low, high: high, byteCount: byteCount) }

    /// Eight bytes at a time: the upper bit of each byte says whether it is of a kind. Seven bits and an addend that
    /// carries into the eighth tell whether a byte reaches a bound.
    @inline(__always)
    private static func run(_ bytes: UInt64, caseBits: UInt64) -> (bytes: UInt64, count: Int) {
        let upper: UInt64 = 0x8080_8080_8080_8080
        let seven = bytes & ~upper
        let folded = seven | 0x2020_2020_2020_2020
        // From "a" on and not from "{" on; from "0" on and not from ":" on.
        let letters = (folded &+ 0x1F1F_1F1F_1F1F_1F1F) & ~(folded &+ 0x0505_0505_0505_0505)
        let digits = (seven &+ 0x5050_5050_5050_5050) & ~(seven &+ 0x4646_4646_4646_4646)
        let others = (~(letters | digits) | bytes) & upper
        let lowercased = bytes | (letters >> 2 & caseBits)
        // The lowest bit of `others` ends the run; where there is none, its bit less one is all bits.
        let end = others & (0 &- others)
        return (lowercased & ((end >> 7) &- 1), others.trailingZeroBitCount >> 3)
    }
}
