/// Turns a text into the ids of its pieces: added tokens, normalizer, pre-tokenizer and vocabulary of a tokenizer.json.
///
/// A class, since its parts are many and every text would have to retain each of them. Any number of threads may use it
/// at once.
final class WordPieceTokenizer: Sendable {
    let normalizer: BertNormalizer
    let vocabulary: WordPieceVocabulary
    let addedTokens: AddedTokens

    private let rules: ASCIIRules
    /// For text that is normalized already.
    private let normalizedRules: ASCIIRules
    private let scratches: TokenizerScratchPool

    init(_ file: ModelFile, normalizer: BertNormalizer, wordCacheByteCount: Int) throws(TokenizerError) {
        self.normalizer = normalizer
        vocabulary = try WordPieceVocabulary(try file.member("model"))
        let entries = try file["added_tokens"]?.elements() ?? []
        addedTokens = try AddedTokens(entries, vocabulary: vocabulary, normalizer: normalizer)
        rules = ASCIIRules(normalizer, vocabulary: vocabulary)
        normalizedRules = ASCIIRules(.identity, vocabulary: vocabulary)
        scratches = TokenizerScratchPool(vocabulary: vocabulary, wordCacheByteCount: wordCacheByteCount)
    }

    /// Hands out the ids of a text: all of them, or more than `limit`, since the text is read no further than that.
    func withIDs<Result>(of text: String, limit: Int, _ body: (ArraySlice<Int32>) -> Result) -> Result {
        scratches.withScratch { scratch in
            scratch.words.begin(limit: limit)
            collect(text.utf8.span, into: &scratch)
            return body(scratch.words.tokens.ids)
        }
    }

    private func collect(_ bytes: Span<UInt8>, into scratch: inout TokenizerScratch) {
        // Added tokens of the normalized text may hold spaces, so only without them may the text be cut at one.
        let partLength = addedTokens.normalized.isEmpty ? 4096 : Int.max
        addedTokens.raw.forEachPiece(in: bytes, partLength: partLength) { piece in
            switch piece {
            case .token(let id): scratch.words.append(tokenID: id)
            case .text(let range): collect(text: bytes.extracting(range), into: &scratch)
            }
            return !scratch.words.hasEnough
        }
    }

    private func collect(text bytes: Span<UInt8>, into scratch: inout TokenizerScratch) {
        guard !addedTokens.normalized.isEmpty else {
            return scratch.collectWords(of: bytes, normalizer: normalizer, rules: rules)
        }
        var normalized = NormalizedText()
        normalizer.normalize(bytes, into: &normalized)
        let bytes = normalized.bytes.span
        addedTokens.normalized.forEachPiece(in: bytes) { piece in
            switch piece {
            case .token(let id): scratch.words.append(tokenID: id)
            case .text(let range):
                scratch.collectWords(of: bytes.extracting(range), normalizer: .identity, rules: normalizedRules)
            }
            return !scratch.words.hasEnough
        }
    }
}
