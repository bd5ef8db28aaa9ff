/// Remembers the pieces of words that were read before, in a memory of fixed size.
///
/// Words stand in sets of two. A word that is put into a full set takes the place of the older one, so neither many
/// words nor words that meet in one set cost more than reading them anew. A word is found by all its bytes: no two words
/// are ever taken for each other.
struct WordCache: Sendable {
    static let maximumPieceCount = 6

    /// A word and its pieces in 32 bytes, of which two are a line of the processor's cache.
    struct Entry: Sendable {
        private static let idBits: UInt64 = 20
        private static let idMask: UInt64 = 1 << idBits - 1

        private let low: UInt64
        private let high: UInt64
        /// Three ids of 20 bits, the first lowest, and above them the word's bytes less one.
        private let head: UInt64
        /// Three more, and above them how many there are in all.
        private let tail: UInt64

        /// Holds no word, since no byte of UTF-8 is 0xFF.
        static let free = Entry()

        private init() {
            (low, high, head, tail) = (.max, .max, 0, 0)
        }

        /// Nil where the pieces, which are the last of `tokens`, are too many or have too large ids.
        init?(_ word: ShortWord, tokens: TokenBuffer, from start: Int) {
            let count = tokens.count - start
            guard 1...WordCache.maximumPieceCount ~= count else { return nil }
            for place in start..<tokens.count where UInt64(UInt32(bitPattern: tokens[place])) > Self.idMask {
                return nil
            }
            func packed(_ top: Int, from start: Int) -> UInt64 {
                (0..<3).reversed().reduce(UInt64(top)) { bits, offset in
                    let place = start + offset
                    let id = place < tokens.count ? UInt64(UInt32(bitPattern: tokens[place])) : 0
                    return bits << Self.idBits | id
                }
            }
            (low, high) = (word.low, word.high)
            (head, tail) = (packed(word.byteCount - 1, from: start), packed(count, from: start + 3))
        }

        @inline(__always)
        var pieceCount: Int { Int(tail >> (3 * Self.idBits)) }

        /// - Returns: 0 from `pieceCount` on.
        @inline(__always)
        func id(_ place: Int) -> Int32 {
            let half = place < 3 ? head : tail
            return Int32(truncatingIfNeeded: half >> (UInt64(place % 3) * Self.idBits) & Self.idMask)
        }

        @inline(__always)
        func holds(_ word: ShortWord) -> Bool {
            // One branch for all three.
            (low ^ word.low) | (high ^ word.high) | (head >> (3 * Self.idBits) ^ UInt64(word.byteCount &- 1)) == 0
        }
    }

    /// (sets, 2): the newer word of a set first.
    private(set) var entries: [Entry]
    /// Leaves of a hash the bits that count sets.
    let shift: UInt64

    /// - Precondition: `byteCount` holds one set at least.
    init(byteCount: Int) {
        let setCount = byteCount / (2 * MemoryLayout<Entry>.stride)
        precondition(setCount >= 1)
        let bits = Int.bitWidth - 1 - setCount.leadingZeroBitCount
        entries = [Entry](repeating: .free, count: 2 << bits)
        shift = UInt64(64 - bits)
    }

    func entry(of word: ShortWord) -> Entry? {
        let place = Self.place(of: word, shift: shift)
        if entries[place].holds(word) { return entries[place] }
        return entries[place + 1].holds(word) ? entries[place + 1] : nil
    }

    /// Keeps a word with its pieces, which are the last of `tokens`, unless they do not fit.
    mutating func insert(_ word: ShortWord, tokens: TokenBuffer, from start: Int) {
        guard let entry = Entry(word, tokens: tokens, from: start) else { return }
        let place = Self.place(of: word, shift: shift)
        entries[place + 1] = entries[place]
        entries[place] = entry
    }

    /// Where the word's set begins.
    @inline(__always)
    static func place(of word: ShortWord, shift: UInt64) -> Int {
        // The upper bits of a product depend on all bits below them. Factors: 2^64 / φ, and π's hexadecimal digits.
        let hash = (word.low ^ (word.high &* 0x3243_F6A8_885A_308D)) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: hash >> shift) << 1
    }
}
