import JSON

/// How many tokens a sequence may have, as the model's folder states it.
enum SequenceLimit {
    /// For a model that states none: what BERT was trained with.
    static let fallback = 512
    /// Larger values of `model_max_length` mean "none", such as the 1e30 that transformers writes.
    private static let largestStated = 1 << 20

    /// `max_seq_length` of sentence_bert_config.json, else `model_max_length` of tokenizer_config.json; never above
    /// `max_position_embeddings` of config.json.
    static func read(
        sentenceBERT: ModelFile?, tokenizer: ModelFile?, model: ModelFile?
    ) throws(TokenizerError) -> Int {
        let positions = try model?["max_position_embeddings"]?.count()
        var stated = try sentenceBERT?["max_seq_length"]?.count()
        if stated == nil, let length = tokenizer?["model_max_length"] {
            guard let number = length.value.number else { throw length.malformed("is not a number") }
            if number.value >= 1, number.value <= Double(largestStated) { stated = Int(number.value) }
        }
        return min(stated ?? positions ?? fallback, positions ?? Int.max)
    }
}
