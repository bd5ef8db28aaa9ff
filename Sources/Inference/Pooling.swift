/// How a text's token vectors become one vector, over the tokens behind `PaddedBatch.unpooledPrefixes`.
package enum Pooling: String, Sendable, CaseIterable {
    /// The first token's vector.
    case cls
    case mean
    /// The greatest value of each dimension.
    case max
    /// The sum over the square root of the token count.
    case meanSqrtLength = "mean_sqrt_len_tokens"
}
