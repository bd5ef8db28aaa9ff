import Embeddings

extension TextTokenizer {
    /// What decides a text's ids beside `tokenizer.json`, by name; part of the model's fingerprint.
    package var facts: [(name: String, value: String)] {
        [
            ("max_sequence_length", "\(maximumSequenceLength)"),
            ("lowercases_first", "\(words.normalizer.lowercasesFirst)"),
            ("prompt_plain", prompts[.plain]),
            ("prompt_query", prompts[.query]),
            ("prompt_document", prompts[.document]),
        ]
    }
}
