/// What the ASCII bytes of a text come to, where none but ASCII bytes stand beside them: a normalizer's and the
/// pre-tokenizer's rules, worked out once for each byte.
struct ASCIIRules: Sendable {
    enum Role: UInt8 {
        /// Not ASCII, or a control character that goes or joins words: takes all the normalizer's rules.
        case unusual
        /// A letter or a digit.
        case word
        case space
        /// A word of its own.
        case punctuation

        @inline(__always)
        var endsWord: Bool { rawValue >= Role.space.rawValue }
    }

    /// (256)
    let roles: [Role]
    /// (256): the id of a punctuation character as a word.
    let punctuationIDs: [Int32]
    /// 0x20 in each byte where letters become small ones, else 0.
    let caseBits: UInt64

    init(_ normalizer: BertNormalizer, vocabulary: WordPieceVocabulary) {
        var roles = [Role](repeating: .unusual, count: 256)
        var ids = [Int32](repeating: vocabulary.unknownID, count: 256)
        for byte in UInt8(0)..<0x80 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                roles[Int(byte)] = .word
            case 0x20: roles[Int(byte)] = .space
            case 0x21...0x7E:
                roles[Int(byte)] = .punctuation
                var pieces = TokenBuffer()
                vocabulary.appendPieces(of: [byte].span, to: &pieces)
                ids[Int(byte)] = pieces.ids[0]
            default:
                // Without cleaning, the pre-tokenizer sees the control characters.
                let flags = ScalarProperties.shared[UInt32(byte)]
                let isRemoved = normalizer.cleansText && flags.contains(.removed)
                if !isRemoved, flags.contains(.whitespace) { roles[Int(byte)] = .space }
            }
        }
        self.roles = roles
        punctuationIDs = ids
        caseBits = normalizer.lowercases || normalizer.lowercasesFirst ? 0x2020_2020_2020_2020 : 0
    }
}
