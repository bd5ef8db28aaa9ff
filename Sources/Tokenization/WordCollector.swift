/// Cuts a normalized text into words, as `BertPreTokenizer` does, and collects the ids of their pieces.
struct WordCollector: NormalizedTextSink {
    private(set) var ids: [Int32] = []

    private let vocabulary: WordPieceVocabulary
    private let limit: Int
    private var word: [UInt8] = []
    /// Bytes of a word beyond which it surely has more scalars than a word may have.
    private let wordCapacity: Int

    /// Collects until there are more than `limit` ids.
    init(vocabulary: WordPieceVocabulary, limit: Int) {
        self.vocabulary = vocabulary
        self.limit = limit
        let (capacity, overflows) = vocabulary.maximumWordLength.multipliedReportingOverflow(by: 4)
        wordCapacity = overflows ? Int.max : capacity
    }

    var hasEnough: Bool { ids.count > limit }

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

    /// Collects a normalized text; its end ends a word.
    mutating func append(normalized bytes: Span<UInt8>) {
        var index = 0
        while index < bytes.count, !hasEnough {
            let byte = bytes[index]
            if byte < 0x80 {
                append(ascii: byte)
                index += 1
            } else {
                append(decodeScalar(in: bytes, at: &index))
            }
        }
        finishWord()
    }

    /// Collects an added token, which stands between words.
    mutating func append(tokenID: Int32) {
        ids.append(tokenID)
    }

    mutating func finishWord() {
        guard !word.isEmpty else { return }
        // The word is read and the ids are written at once, which two properties of one value may not be.
        var ids: [Int32] = []
        swap(&ids, &self.ids)
        vocabulary.appendPieces(of: word.span, to: &ids)
        swap(&ids, &self.ids)
        word.removeAll(keepingCapacity: true)
    }

    @inline(__always)
    private mutating func appendToWord(_ byte: UInt8) {
        if word.count <= wordCapacity { word.append(byte) }
    }
}
