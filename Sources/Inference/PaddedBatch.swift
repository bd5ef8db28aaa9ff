package import Embeddings

/// Texts of like lengths as one rectangle of token ids, for one forward pass.
package struct PaddedBatch: Sendable {
    /// Sequences.
    package let count: Int
    /// Tokens of the longest sequence.
    package let width: Int
    /// (count, width), row-major; places behind a sequence's end hold the padding id.
    package let ids: [Int32]
    /// (count): real tokens of each sequence.
    package let lengths: [Int32]
    /// (count): leading tokens that pooling leaves out.
    package let unpooledPrefixes: [Int32]

    /// - Precondition: at least one sequence, none of them empty.
    package init(_ sequences: [TokenSequence], paddingID: Int32 = 0) {
        precondition(!sequences.isEmpty && sequences.allSatisfy { !$0.ids.isEmpty })
        let width = sequences.reduce(0) { max($0, $1.ids.count) }
        var ids = [Int32](repeating: paddingID, count: sequences.count * width)
        for (row, sequence) in sequences.enumerated() {
            ids.replaceSubrange(row * width..<row * width + sequence.ids.count, with: sequence.ids)
        }
        count = sequences.count
        self.width = width
        self.ids = ids
        lengths = sequences.map { Int32($0.ids.count) }
        unpooledPrefixes = sequences.map { Int32($0.unpooledPrefix) }
    }

    /// Tokens that are not padding.
    package var tokenCount: Int { lengths.reduce(0) { $0 + Int($1) } }

    /// Tokens of the rectangle, padding included: count × width.
    package var rectangleTokenCount: Int { count * width }

    /// (count, width), row-major: 1 for a token, 0 for padding.
    package var mask: [UInt8] {
        lengths.flatMap { length in (0..<width).map { $0 < Int(length) ? 1 : 0 } }
    }
}

/// How the encoder walks a padded batch.
package enum BatchLayout: String, Sendable, CaseIterable {
    /// The whole rectangle, padding included.
    case padded
    /// Padding rows are dropped before the dense layers.
    case packed
}
