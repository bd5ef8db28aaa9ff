/// Turns texts into vectors: the one door between those who have texts and the encoder.
///
/// A call is admitted or refused whole. Cancelling the calling task drops what has not been computed yet.
package protocol Embedder: Sendable {
    var model: ModelDescription { get }
    /// False while it is known that calls may not be answered as they should.
    var isReady: Bool { get }

    /// One result an input, in the order of the inputs, and how the call fared.
    ///
    /// - Throws: what befell the call as a whole; with `FailurePolicy.request` also the first error of an input.
    func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport
}

extension Embedder {
    /// One embedding an input, in the order of the inputs; an input without one fails the call.
    package func embed(_ request: EmbeddingRequest) async throws(EmbeddingError) -> [Embedding] {
        let results = try await embedEach(request).results
        var embeddings: [Embedding] = []
        embeddings.reserveCapacity(results.count)
        for result in results { embeddings.append(try result.get()) }
        return embeddings
    }
}

/// What one caller asks for in one call.
package struct EmbeddingRequest: Sendable {
    package var inputs: [EmbeddingInput]
    package var role: TextRole
    package var truncation: TruncationPolicy
    package var lane: Lane
    /// Who asks: clients share a lane fairly.
    package var client: ClientID
    /// When the answer is worth nothing any more; nil: whenever it comes.
    package var deadline: ContinuousClock.Instant?
    package var failurePolicy: FailurePolicy

    package init(
        inputs: [EmbeddingInput], role: TextRole = .plain, truncation: TruncationPolicy = .end,
        lane: Lane = .interactive, client: ClientID = .unnamed, deadline: ContinuousClock.Instant? = nil,
        failurePolicy: FailurePolicy = .request
    ) {
        self.inputs = inputs
        self.role = role
        self.truncation = truncation
        self.lane = lane
        self.client = client
        self.deadline = deadline
        self.failurePolicy = failurePolicy
    }
}

/// Whom a request belongs to, where several share the machine: an API key, a connection, the jobs of an owner.
package struct ClientID: Sendable, Hashable {
    /// Never a secret: it may be counted and compared, and is not shown.
    package let name: String

    package init(_ name: String) {
        self.name = name
    }

    /// All who do not say who they are are one.
    package static let unnamed = ClientID("")
}

/// What one input that cannot be embedded does to the others of its call.
package enum FailurePolicy: Sendable, Equatable {
    /// The whole call fails with its error.
    case request
    /// It fails alone.
    case perInput
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

/// Why a call, or an input of it, has no vector. Descriptions are safe to send to a client.
package enum EmbeddingError: Error, Equatable, CustomStringConvertible {
    /// The queue is full now; the same request may be taken after the given time.
    case overloaded(retryAfter: Duration)
    /// The queue is so long that the answer would come after the deadline; it may be taken after the given time.
    case deadlineUnreachable(retryAfter: Duration)
    /// The deadline came before the answer.
    case deadlineExceeded
    /// The request can never be taken: it needs more tokens than the whole queue may hold.
    case requestTooLarge(tokenCount: Int, limit: Int)
    /// With `TruncationPolicy.none`: the input at `index` is longer than the model's limit.
    case inputTooLong(index: Int, limit: Int)
    /// The input at `index` holds a token id outside `0..<vocabularySize`.
    case invalidToken(index: Int, id: Int32, vocabularySize: Int)
    /// The encoder gave a value that is not finite for the input at `index`; such a vector is never handed out.
    case vectorNotFinite(index: Int)
    /// A compute thread hung or ended with the input at `index`, and the one that tried again did too.
    case computeFailed(index: Int)
    /// The process is stopping and takes no new work.
    case shuttingDown
    /// The calling task was cancelled.
    case cancelled

    package var description: String {
        switch self {
        case .overloaded(let retryAfter):
            "the queue is full; try again in \(retryAfter.wholeSeconds) s"
        case .deadlineUnreachable(let retryAfter):
            "the queue is too long for an answer before the deadline; try again in \(retryAfter.wholeSeconds) s"
        case .deadlineExceeded: "the deadline came before the answer"
        case .requestTooLarge(let tokenCount, let limit):
            "the request holds \(tokenCount) tokens, more than the whole queue takes (\(limit), --max-queued-tokens)"
        case .inputTooLong(let index, let limit):
            "input \(index) is longer than the model's limit of \(limit) tokens, and truncate is none"
        case .invalidToken(let index, let id, let vocabularySize):
            "input \(index) holds the token id \(id); the model's ids go from 0 to \(vocabularySize - 1)"
        case .vectorNotFinite(let index):
            "the model gave a vector that is not finite for input \(index)"
        case .computeFailed(let index): "the encoder gave no answer for input \(index), twice"
        case .shuttingDown: "the server is stopping"
        case .cancelled: "the request was cancelled"
        }
    }
}

extension Duration {
    /// Rounded up, at least 1.
    fileprivate var wholeSeconds: Int64 {
        max(1, components.seconds + (components.attoseconds > 0 ? 1 : 0))
    }
}
