package import Embeddings

/// What a call that gave no vectors means for its texts.
package enum EmbeddingVerdict: Equatable {
    /// No fault of the texts: the same call later.
    case wait(Duration)
    /// Some text of several is at fault: try these parts of the call by themselves.
    case split([Range<Int>])
    /// The call's only text has no vector.
    case fail(ItemError)
    /// The embedder stops, or nobody wants the result any more.
    case giveUp

    /// Bulk work asks again soon even where the queue is long: its place there is behind everybody else's anyway.
    package static let longestWait: Duration = .seconds(5)

    /// - Parameter textCount: of the call, at least 1.
    package init(_ error: EmbeddingError, textCount: Int) {
        switch error {
        case .overloaded(let retryAfter), .deadlineUnreachable(let retryAfter):
            self = .wait(min(retryAfter, Self.longestWait))
        case .deadlineExceeded: self = .wait(Self.longestWait)
        case .computeFailed(let index):
            self = Self.isolate(index, of: textCount, ItemError(code: "compute_failed", message: error.ownMessage))
        case .shuttingDown, .cancelled: self = .giveUp
        case .inputTooLong(let index, _):
            self = Self.isolate(index, of: textCount, ItemError(code: "input_too_long", message: error.ownMessage))
        case .invalidToken(let index, _, _):
            self = Self.isolate(index, of: textCount, ItemError(code: "invalid_token", message: error.ownMessage))
        case .vectorNotFinite(let index):
            self = Self.isolate(index, of: textCount, ItemError(code: "vector_not_finite", message: error.ownMessage))
        case .requestTooLarge:
            self = Self.isolate(nil, of: textCount, ItemError(code: "input_too_large", message: error.ownMessage))
        }
    }

    /// A call of one text names its culprit; one of several is halved, around the text that the error names.
    private static func isolate(_ index: Int?, of textCount: Int, _ error: ItemError) -> EmbeddingVerdict {
        guard textCount > 1 else { return .fail(error) }
        guard let index, (0..<textCount).contains(index) else {
            return .split([0..<textCount / 2, textCount / 2..<textCount])
        }
        return .split([0..<index, index..<index + 1, index + 1..<textCount].filter { !$0.isEmpty })
    }
}
