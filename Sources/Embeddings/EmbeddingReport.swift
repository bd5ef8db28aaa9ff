/// What became of one call to `Embedder.embedEach`.
package struct EmbeddingReport: Sendable, Equatable {
    /// One an input, in the order of the inputs. Errors only with `FailurePolicy.perInput`, and then only those of one
    /// input: `inputTooLong`, `invalidToken`, `vectorNotFinite`, `computeFailed`.
    package var results: [Result<Embedding, EmbeddingError>]
    package var timing: EmbeddingTiming
    /// From the call to its answer, as the queue foretold it when the call was admitted; nil where nothing waits.
    package var promisedWait: Duration?

    package init(
        results: [Result<Embedding, EmbeddingError>], timing: EmbeddingTiming = EmbeddingTiming(),
        promisedWait: Duration? = nil
    ) {
        self.results = results
        self.timing = timing
        self.promisedWait = promisedWait
    }
}

/// Where a call's time went. The parts of a call whose texts run in several passes overlap, so the queue's and the
/// passes' are those of the text that ended last.
package struct EmbeddingTiming: Sendable, Equatable {
    /// From the call until all of its texts were tokens.
    package var tokenize: Duration
    /// From then until the last text's pass began.
    package var queue: Duration
    /// From then until that pass ended.
    package var compute: Duration

    package init(tokenize: Duration = .zero, queue: Duration = .zero, compute: Duration = .zero) {
        self.tokenize = tokenize
        self.queue = queue
        self.compute = compute
    }
}
