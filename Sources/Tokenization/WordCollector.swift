/// Cuts a normalized text into words, as `BertPreTokenizer` does, and collects the ids of their pieces.
///
/// Words of ASCII letters and digits between ASCII bytes, which English consists of, are cut from the text itself, eight
/// bytes at a time (`WordCache.appendKnownWords`). What else there is comes here scalar by scalar. Once its storage has
/// grown to what texts need, nothing is allocated.
struct WordCollector: NormalizedTextSink {
    private(set) var limit = 0
    private(set) var tokens = TokenBuffer()
    private(set) var cache: WordCache

    private let vocabulary: WordPieceVocabulary
    private var word: [UInt8] = []
    /// Bytes of a word beyond which it surely has more scalars than a word may have.
    private let wordCapacity: Int

    init(vocabulary: WordPieceVocabulary, cache: WordCache) {
        self.vocabulary = vocabulary
        self.cache = cache
        let (capacity, overflows) = vocabulary.maximumWordLength.multipliedReportingOverflow(by: 4)
        wordCapacity = overflows ? Int.max : capacity
    }

    /// Begins a text, of which it collects until there are more than `limit` ids.
    mutating func begin(limit: Int) {
        self.limit = limit
        tokens.removeAll()
    }

    var hasEnough: Bool { tokens.count > limit }

    @inline(__always)
    mutating func append(ascii byte: UInt8) {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            appendToWord(byte)
        case 0x20, 0x09...0x0D: finishWord()
        case 0x21...0x7E:
            finishWord()
            word.append(byte)
            finishWord()
        default: appendToWord(byte)
        }
    }

    mutating func append(_ scalar: UInt32) {
        guard scalar >= 0x80 else { return append(ascii: UInt8(scalar)) }
        let flags = ScalarProperties.shared[scalar]
        if flags.contains(.whitespace) { return finishWord() }
        if flags.contains(.punctuation) {
            finishWord()
            word.append(scalar: scalar)
            finishWord()
        } else if word.count <= wordCapacity {
            word.append(scalar: scalar)
        }
    }

    /// Collects words from `position` on, up to the limit or to the first that these rules do not cover: one that has
    /// an unusual byte in it or beside it, or that is longer than a `ShortWord`. `position` becomes where that starts.
    mutating func appendWords(of bytes: Span<UInt8>, from position: inout Int, rules: ASCIIRules) {
        while position < bytes.count, !hasEnough {
            switch cache.appendKnownWords(of: bytes, from: &position, rules: rules, to: &tokens, limit: limit) {
            case .outOfRoom: continue
            case .unknown(let word): append(unknown: word)
            case .finished: return
            }
        }
    }

    mutating func finishWord() {
        guard !word.isEmpty else { return }
        let short = ShortWord(word.span)
        if let short, let known = cache.entry(of: short) {
            tokens.append(known)
        } else {
            appendPieces(remembering: short)
        }
        word.removeAll(keepingCapacity: true)
    }

    private mutating func append(unknown word: ShortWord) {
        word.append(to: &self.word)
        appendPieces(remembering: word)
        self.word.removeAll(keepingCapacity: true)
    }

    /// Collects an added token, which stands between words.
    mutating func append(tokenID: Int32) {
        tokens.append(tokenID)
    }

    private mutating func appendPieces(remembering short: ShortWord?) {
        Self.appendPieces(of: word, from: vocabulary, to: &tokens, remembering: short, in: &cache)
    }

    // Apart from self, of which the word's span would borrow all.
    private static func appendPieces(
        of word: [UInt8], from vocabulary: WordPieceVocabulary, to tokens: inout TokenBuffer,
        remembering short: ShortWord?, in cache: inout WordCache
    ) {
        let start = tokens.count
        vocabulary.appendPieces(of: word.span, to: &tokens)
        if let short { cache.insert(short, tokens: tokens, from: start) }
    }

    @inline(__always)
    private mutating func appendToWord(_ byte: UInt8) {
        if word.count <= wordCapacity { word.append(byte) }
    }
}
