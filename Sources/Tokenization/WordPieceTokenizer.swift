import Embeddings

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

    /// A text between special tokens, all together at most `limit`. It is read no further than that needs.
    func sequence(of text: String, between specialTokens: SpecialTokens, limit: Int) -> TokenSequence {
        scratches.withScratch { scratch in
            scratch.words.begin(limit: limit - specialTokens.count)
            collect(text.utf8.span, into: &scratch)
            return sequence(of: scratch.words.tokens.ids, between: specialTokens, limit: limit)
        }
    }

    /// The same of ids of a text; those beyond the limit are cut.
    func sequence(of body: ArraySlice<Int32>, between specialTokens: SpecialTokens, limit: Int) -> TokenSequence {
        let room = limit - specialTokens.count
        var ids: [Int32] = []
        ids.reserveCapacity(min(body.count, room) + specialTokens.count)
        ids.append(contentsOf: specialTokens.prefix)
        ids.append(contentsOf: body.prefix(room))
        ids.append(contentsOf: specialTokens.suffix)
        // A tokenizer without special tokens makes nothing of an empty text, which no encoder can read.
        if ids.isEmpty { ids.append(vocabulary.unknownID) }
        return TokenSequence(ids: ids, isTruncated: body.count > room)
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
