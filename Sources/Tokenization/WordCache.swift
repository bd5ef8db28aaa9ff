/// Remembers the pieces of words that were read before, in a memory of fixed size.
///
/// Words stand in sets of two. A word that is put into a full set takes the place of the older one, so neither many
/// words nor words that meet in one set cost more than reading them anew. A word is found by all its bytes: no two words
/// are ever taken for each other.
struct WordCache: Sendable {
    static let maximumPieceCount = 3

    struct Entry: Sendable {
        fileprivate var low: UInt64 = 0
        fileprivate var high: UInt64 = 0
        /// Of which `pieceCount` count.
        var ids: (Int32, Int32, Int32) = (0, 0, 0)
        private var wordByteCount: UInt16 = 0
        private var idCount: UInt16 = 0

        static let free = Entry()

        private init() {}

        init(_ word: ShortWord, tokens: TokenBuffer, start: Int) {
            (low, high, wordByteCount) = (word.low, word.high, UInt16(word.byteCount))
            idCount = UInt16(tokens.count - start)
            func id(_ place: Int) -> Int32 { place < tokens.count ? tokens[place] : 0 }
            ids = (id(start), id(start + 1), id(start + 2))
        }

        @inline(__always)
        var pieceCount: Int { Int(idCount) }

        @inline(__always)
        func holds(_ word: ShortWord) -> Bool {
            low == word.low && high == word.high && Int(wordByteCount) == word.byteCount
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

    /// Keeps a word with its pieces, which are the last of `tokens`, unless they are too many.
    mutating func insert(_ word: ShortWord, tokens: TokenBuffer, from start: Int) {
        guard 1...Self.maximumPieceCount ~= tokens.count - start else { return }
        let place = Self.place(of: word, shift: shift)
        entries[place + 1] = entries[place]
        entries[place] = Entry(word, tokens: tokens, start: start)
    }

    /// Where the word's set begins.
    @inline(__always)
    static func place(of word: ShortWord, shift: UInt64) -> Int {
        // The upper bits of a product depend on all bits below them. Factors: 2^64 / φ, and π's hexadecimal digits.
        let hash = (word.low ^ (word.high &* 0x3243_F6A8_885A_308D)) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: hash >> shift) << 1
    }
}
