package import Embeddings

/// Turns texts into token ids, the same ids that Hugging Face `tokenizers` gives.
///
/// Any number of threads may use one at once. What it knows never changes after it was read; each caller works in a
/// scratch that it alone has meanwhile, with a cache of words.
package struct TextTokenizer: Sendable {
    /// The largest id plus one, added and special tokens included.
    package let vocabularySize: Int
    /// Tokens a sequence may have, special tokens included.
    package let maximumSequenceLength: Int
    package let paddingID: Int32

    /// Memory that each caller that encodes at one time has for words that it met; it stays for the next one.
    package let wordCacheByteCount: Int
    /// Memory of the vocabulary.
    package var vocabularyByteCount: Int { words.vocabulary.byteCount }

    let words: WordPieceTokenizer
    private let specialTokens: SpecialTokens
    let prompts: Prompts
    private let excludesPromptFromPooling: Bool
    /// Leading tokens of a prompted sequence that pooling leaves out, where it leaves any out.
    private var unpooledPrefixes: [TextRole: Int] = [:]

    /// Reads tokenizer.json of a model's folder, and tokenizer_config.json, sentence_bert_config.json, config.json and
    /// config_sentence_transformers.json where they are there.
    ///
    /// - Parameters:
    ///   - excludesPromptFromPooling: `include_prompt` of the pooling's configuration is false.
    ///   - wordCacheByteCount: memory that each thread that encodes at one time has for words that it met; at least 64.
    package init(
        directory: String, excludesPromptFromPooling: Bool = false, wordCacheByteCount: Int = 1 << 19
    ) throws(TokenizerError) {
        guard let file = try ModelFile(named: "tokenizer.json", in: directory) else {
            throw .unreadable(file: "tokenizer.json", reason: "there is no such file in \(directory)")
        }
        let tokenizerConfiguration = try ModelFile(named: "tokenizer_config.json", in: directory)
        let sentenceBERT = try ModelFile(named: "sentence_bert_config.json", in: directory)
        let model = try ModelFile(named: "config.json", in: directory)

        var normalizer = try BertNormalizer(file["normalizer"])
        if try sentenceBERT?["do_lower_case"]?.bool() == true, !normalizer.lowercases {
            normalizer.lowercasesFirst = true
        }
        try Self.requireBertPreTokenizer(file)
        self.wordCacheByteCount = wordCacheByteCount
        words = try WordPieceTokenizer(file, normalizer: normalizer, wordCacheByteCount: wordCacheByteCount)
        specialTokens = try SpecialTokens(file["post_processor"])
        prompts =
            try ModelFile(named: "config_sentence_transformers.json", in: directory).map(Prompts.init) ?? Prompts()
        self.excludesPromptFromPooling = excludesPromptFromPooling

        let largestSpecial = (specialTokens.prefix + specialTokens.suffix).max() ?? 0
        vocabularySize = max(words.vocabulary.size, words.addedTokens.size, Int(largestSpecial) + 1)
        maximumSequenceLength = try SequenceLimit.read(
            sentenceBERT: sentenceBERT, tokenizer: tokenizerConfiguration, model: model)
        guard maximumSequenceLength > specialTokens.count else {
            throw file.malformed("leaves no room for text: the limit is \(maximumSequenceLength) tokens")
        }
        paddingID = try Self.readPaddingID(tokenizerConfiguration, model, words)

        if excludesPromptFromPooling {
            for role in [TextRole.plain, .query, .document] where !prompts[role].isEmpty {
                // As sentence-transformers counts them: the prompt's own sequence, less a special token at its end.
                let count = encode(prompts[role], withPrompt: "").ids.count
                unpooledPrefixes[role] = specialTokens.suffix.isEmpty ? count : count - 1
            }
        }
    }

    /// The ids of a text with the prompt of its role before it and the special tokens around it, cut at the limit. The
    /// text is read no further than the cut needs.
    package func encode(_ text: String, role: TextRole = .plain) -> TokenSequence {
        let sequence = encode(text, withPrompt: prompts[role])
        guard let prefix = unpooledPrefixes[role] else { return sequence }
        return TokenSequence(
            ids: sequence.ids, isTruncated: sequence.isTruncated, unpooledPrefix: min(prefix, sequence.ids.count))
    }

    /// The sequence of a text that came as ids of this vocabulary without special tokens, which are added; cut at the
    /// limit.
    package func encode(tokenIDs: [Int32]) throws(UnknownTokenID) -> TokenSequence {
        for id in tokenIDs where !(0..<vocabularySize).contains(Int(id)) {
            throw UnknownTokenID(id: id, vocabularySize: vocabularySize)
        }
        return words.sequence(of: tokenIDs[...], between: specialTokens, limit: maximumSequenceLength)
    }

    private func encode(_ text: String, withPrompt prompt: String) -> TokenSequence {
        let text = prompt.isEmpty ? text : prompt + text
        return words.sequence(of: text, between: specialTokens, limit: maximumSequenceLength)
    }

    private static func requireBertPreTokenizer(_ file: ModelFile) throws(TokenizerError) {
        let preTokenizer = try file.member("pre_tokenizer")
        let type = try preTokenizer.member("type").string()
        guard type == "BertPreTokenizer" else { throw preTokenizer.unsupported(type) }
    }

    /// `pad_token` of tokenizer_config.json, else `pad_token_id` of config.json, else 0.
    private static func readPaddingID(
        _ tokenizer: ModelFile?, _ model: ModelFile?, _ words: WordPieceTokenizer
    ) throws(TokenizerError) -> Int32 {
        if let token = tokenizer?["pad_token"] {
            let content = try (token["content"] ?? token).string()
            if let id = words.addedTokens.id(of: content) ?? words.vocabulary.id(of: content) { return id }
        }
        return try model?["pad_token_id"]?.tokenID() ?? 0
    }
}

extension BertNormalizer {
    /// Reads `normalizer` of a tokenizer.json; nil, or JSON's null, changes nothing.
    fileprivate init(_ normalizer: ModelFile?) throws(TokenizerError) {
        guard let normalizer else {
            self = .identity
            return
        }
        let type = try normalizer.member("type").string()
        guard type == "BertNormalizer" else { throw normalizer.unsupported(type) }
        lowercases = try normalizer.member("lowercase").bool()
        stripsAccents = try normalizer["strip_accents"]?.bool() ?? lowercases
        cleansText = try normalizer.member("clean_text").bool()
        separatesChinese = try normalizer.member("handle_chinese_chars").bool()
    }
}
