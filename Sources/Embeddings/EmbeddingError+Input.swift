extension EmbeddingError {
    /// As `description`, of an input that a client knows by another number, or by none.
    package var ownMessage: String {
        switch self {
        case .inputTooLong(_, let limit): "the text is longer than the model's limit of \(limit) tokens"
        case .vectorNotFinite: "the model gave a vector that is not finite"
        case .computeFailed: "the encoder gave no answer, twice"
        case .invalidToken, .overloaded, .deadlineUnreachable, .deadlineExceeded, .requestTooLarge, .shuttingDown,
            .cancelled:
            description
        }
    }

    /// The same of an input that stands at `index` in the caller's own list; what befell a whole call is unchanged.
    package func moved(to index: Int) -> EmbeddingError {
        switch self {
        case .inputTooLong(_, let limit): .inputTooLong(index: index, limit: limit)
        case .invalidToken(_, let id, let vocabularySize):
            .invalidToken(index: index, id: id, vocabularySize: vocabularySize)
        case .vectorNotFinite: .vectorNotFinite(index: index)
        case .computeFailed: .computeFailed(index: index)
        case .overloaded, .deadlineUnreachable, .deadlineExceeded, .requestTooLarge, .shuttingDown, .cancelled: self
        }
    }
}
