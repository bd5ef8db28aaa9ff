/// One text as the encoder reads it.
package struct TokenSequence: Sendable, Equatable {
    /// Ids of the model's vocabulary, special tokens included; at least one, at most the model's limit.
    package let ids: [Int32]
    /// Whether the text was longer than the limit and lost its end.
    package let isTruncated: Bool
    /// Leading tokens (special token and prompt) that pooling leaves out; 0 for models that pool over their prompt too.
    package let unpooledPrefix: Int
    /// Of the ids; computed once, where the text is tokenized.
    package let idsHash: Int

    package init(ids: [Int32], isTruncated: Bool = false, unpooledPrefix: Int = 0) {
        self.ids = ids
        idsHash = ids.hashValue
        self.isTruncated = isTruncated
        self.unpooledPrefix = unpooledPrefix
    }
}
