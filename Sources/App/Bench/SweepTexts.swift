package import Embeddings
import Tokenization

/// Sequences of a wanted length out of a file's texts: their tokens as one stream without end, cut wherever the length
/// says, special tokens in their places.
package struct SweepTexts: Sendable {
    /// Tokens of all texts, special tokens left out.
    private let stream: [Int32]
    /// Puts special tokens around ids.
    private let enclose: @Sendable ([Int32]) -> [Int32]
    private let specialTokenCount: Int
    private var position = 0

    /// - Parameters:
    ///   - encode: gives a text's ids, special tokens included.
    ///   - enclose: gives a sequence's ids, special tokens included, from those without; knows the ids 0 and 1.
    /// - Throws: a failure where the texts hold no token.
    package init(
        _ texts: [String], encode: (String) -> [Int32], enclose: @escaping @Sendable ([Int32]) -> [Int32]
    ) throws(CommandFailure) {
        // Where two sequences of one token each part is where texts begin.
        let (zero, one) = (enclose([0]), enclose([1]))
        let prefixCount = zip(zero, one).prefix { $0 == $1 }.count
        specialTokenCount = zero.count - 1
        let suffixCount = specialTokenCount - prefixCount
        stream = texts.flatMap { encode($0).dropFirst(prefixCount).dropLast(suffixCount) }
        self.enclose = enclose
        guard !stream.isEmpty else { throw .failed("the input holds no token besides special ones") }
    }

    init(_ texts: [String], tokenizer: TextTokenizer) throws(CommandFailure) {
        try self.init(
            texts, encode: { tokenizer.encode($0).ids },
            enclose: { body in
                do throws(UnknownTokenID) {
                    return try tokenizer.encode(tokenIDs: body).ids
                } catch {
                    preconditionFailure("the id \(error.id) is the tokenizer's own")
                }
            })
    }

    /// The next sequences of exactly `length` tokens each, special tokens included.
    ///
    /// - Throws: a usage failure where special tokens alone take the length.
    package mutating func next(_ count: Int, length: Int) throws(CommandFailure) -> [TokenSequence] {
        guard length > specialTokenCount else {
            throw .usage(
                "--sweep-length holds \(length); it takes \(specialTokenCount + 1) or more, "
                    + "since \(specialTokenCount) are special tokens")
        }
        var sequences: [TokenSequence] = []
        sequences.reserveCapacity(count)
        for _ in 0..<count {
            let body = (0..<length - specialTokenCount).map { stream[(position + $0) % stream.count] }
            position = (position + body.count) % stream.count
            sequences.append(TokenSequence(ids: enclose(body)))
        }
        return sequences
    }
}
