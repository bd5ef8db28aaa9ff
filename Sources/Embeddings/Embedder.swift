/// Turns texts into vectors: the one door between those who have texts and the encoder.
///
/// A call is admitted or refused whole. Cancelling the calling task drops what has not been computed yet.
package protocol Embedder: Sendable {
    var model: ModelDescription { get }

    /// One embedding an input, in the order of the inputs.
    func embed(_ request: EmbeddingRequest) async throws(EmbeddingError) -> [Embedding]
}

/// What one caller asks for in one call.
package struct EmbeddingRequest: Sendable {
    package var inputs: [EmbeddingInput]
    package var role: TextRole
    package var truncation: TruncationPolicy
    package var lane: Lane

    package init(
        inputs: [EmbeddingInput], role: TextRole = .plain, truncation: TruncationPolicy = .end,
        lane: Lane = .interactive
    ) {
        self.inputs = inputs
        self.role = role
        self.truncation = truncation
        self.lane = lane
    }
}

package enum EmbeddingInput: Sendable, Equatable {
    case text(String)
    /// Ids of the served model's own vocabulary, without special tokens; those are added.
    case tokens([Int32])
}

/// Which of the model's prompts stands before the text (`config_sentence_transformers.json`).
package enum TextRole: Sendable, Equatable {
    /// The model's default prompt, which most models do not have.
    case plain
    case query
    case document
}

/// What happens to a text over the model's limit.
package enum TruncationPolicy: Sendable, Equatable {
    /// Its end is cut, and the embedding says so.
    case end
    /// The request is refused.
    case none
}

/// Which queue work waits in; interactive work goes first.
package enum Lane: Sendable, Equatable, CaseIterable {
    case interactive
    case bulk
}

/// One text's result.
package struct Embedding: Sendable, Equatable {
    package let vector: EmbeddingVector
    /// Tokens that the encoder read, special tokens included.
    package let tokenCount: Int
    /// Whether the text was longer than the model's limit, and its end is missing from the vector.
    package let isTruncated: Bool

    package init(vector: EmbeddingVector, tokenCount: Int, isTruncated: Bool) {
        self.vector = vector
        self.tokenCount = tokenCount
        self.isTruncated = isTruncated
    }
}

/// Why a call to `Embedder.embed` gave no vectors. Descriptions are safe to send to a client.
package enum EmbeddingError: Error, Equatable, CustomStringConvertible {
    /// The queue is full now; the same request may be taken after the given time.
    case overloaded(retryAfter: Duration)
    /// The request can never be taken: it needs more tokens than the whole queue may hold.
    case requestTooLarge(tokenCount: Int, limit: Int)
    /// With `TruncationPolicy.none`: the input at `index` is longer than the model's limit.
    case inputTooLong(index: Int, limit: Int)
    /// The input at `index` holds a token id outside `0..<vocabularySize`.
    case invalidToken(index: Int, id: Int32, vocabularySize: Int)
    /// The encoder gave a value that is not finite for the input at `index`; such a vector is never handed out.
    case vectorNotFinite(index: Int)
    /// The process is stopping and takes no new work.
    case shuttingDown
    /// The calling task was cancelled.
    case cancelled

    package var description: String {
        switch self {
        case .overloaded(let retryAfter):
            "the queue is full; try again in \(max(1, retryAfter.components.seconds)) s"
        case .requestTooLarge(let tokenCount, let limit):
            "the request holds \(tokenCount) tokens, more than the whole queue takes (\(limit), --max-queued-tokens)"
        case .inputTooLong(let index, let limit):
            "input \(index) is longer than the model's limit of \(limit) tokens, and truncate is none"
        case .invalidToken(let index, let id, let vocabularySize):
            "input \(index) holds the token id \(id); the model's ids go from 0 to \(vocabularySize - 1)"
        case .vectorNotFinite(let index):
            "the model gave a vector that is not finite for input \(index)"
        case .shuttingDown: "the server is stopping"
        case .cancelled: "the request was cancelled"
        }
    }
}
