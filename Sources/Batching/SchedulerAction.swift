package import Embeddings

/// What the shell carries out after it told `SchedulerState` something, outside the lock and in any order.
package struct SchedulerAction: Sendable, Equatable {
    /// Calls that end now; each id is named once in its life.
    package var answers: [Answer] = []
    /// Compute threads to wake.
    package var computeWakes: [Int] = []
    /// Compute threads to call back from the pass that they help with.
    package var recalls: [Int] = []
    /// Tokenizer threads to wake.
    package var tokenizerWakes: [Int] = []
    /// Whether nothing is left to do after `beginShutdown`.
    package var isDrained = false
    /// What happened, for the metrics.
    package var events: [BatchingEvent] = []

    package struct Answer: Sendable, Equatable {
        package let request: RequestID
        package let result: Result<[Embedding], EmbeddingError>

        package init(request: RequestID, result: Result<[Embedding], EmbeddingError>) {
            self.request = request
            self.result = result
        }
    }
}

package enum BatchingEvent: Sendable, Equatable {
    case admitted(lane: Lane, sequenceCount: Int, tokenCount: Int, truncatedCount: Int)
    case tokenized(elapsed: Duration)
    /// A thread took the pass.
    case passBegan(Pass)
    case passEnded(Pass, elapsed: Duration)
    /// Waiting texts left the queue without a pass, since their request ended early.
    case dropped(lane: Lane, sequenceCount: Int, tokenCount: Int)
    /// Texts of a pass whose request had ended before the pass did.
    case discarded(sequenceCount: Int)
    /// The call ended with this error; also when it was cancelled.
    case refused(EmbeddingError)
}

/// What a compute thread does next.
package enum ComputeStep: Sendable, Equatable {
    case run(Pass, SchedulerAction)
    /// Help that compute thread with its pass.
    case help(leader: Int, SchedulerAction)
    /// Wait to be woken, or for that moment.
    case park(until: ContinuousClock.Instant?)
    case exit
}

/// What a tokenizer thread does next.
package enum TokenizerStep: Sendable, Equatable {
    case tokenize(TokenizationChunk)
    case park
    case exit
}
