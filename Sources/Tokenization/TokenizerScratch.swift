import Synchronization

/// What reading a text needs beside the tokenizer; it stays for the next text.
struct TokenizerScratch: ~Copyable, Sendable {
    var words: WordCollector
    private var accents = AccentBuffer()

    init(words: WordCollector) {
        self.words = words
    }

    /// Normalizes a text and collects its words, until there are enough; its end ends a word.
    mutating func collectWords(of bytes: Span<UInt8>, normalizer: BertNormalizer, rules: ASCIIRules) {
        var position = 0
        while position < bytes.count, !words.hasEnough {
            words.appendWords(of: bytes, from: &position, rules: rules)
            normalizer.normalize(bytes, from: &position, into: &words, accents: &accents) { byte in
                rules.roles[Int(byte)].endsWord
            }
            words.finishWord()
        }
    }
}

/// Lends every caller a scratch of its own, at the price of two short critical sections.
final class TokenizerScratchPool: Sendable {
    private let vocabulary: WordPieceVocabulary
    private let wordCacheByteCount: Int
    /// More callers than that at one time get new ones, which go with them.
    private let idle = Mutex(InlineArray<16, TokenizerScratch?> { _ in nil })

    init(vocabulary: WordPieceVocabulary, wordCacheByteCount: Int) {
        self.vocabulary = vocabulary
        self.wordCacheByteCount = wordCacheByteCount
    }

    func withScratch<Result>(_ body: (inout TokenizerScratch) -> Result) -> Result {
        var scratch =
            takeIdle()
            ?? TokenizerScratch(
                words: WordCollector(vocabulary: vocabulary, cache: WordCache(byteCount: wordCacheByteCount)))
        let result = body(&scratch)
        giveBack(scratch)
        return result
    }

    private func takeIdle() -> TokenizerScratch? {
        idle.withLock { slots in
            for slot in slots.indices where slots[slot] != nil { return slots[slot].take() }
            return nil
        }
    }

    private func giveBack(_ scratch: consuming TokenizerScratch) {
        var scratch = Optional(scratch)
        idle.withLock { slots in
            for slot in slots.indices where slots[slot] == nil {
                slots[slot] = scratch.take()
                return
            }
        }
    }
}
