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
    /// What the caller tokenizes itself, and tells of with `chunkEnded`.
    package var inlineChunk: TokenizationChunk?
    /// Compute threads that are given up, for which others are started.
    package var replacements: [Int] = []
    /// Whether nothing is left to do after `beginShutdown`.
    package var isDrained = false
    /// What happened, for the metrics.
    package var events: [BatchingEvent] = []

    package struct Answer: Sendable, Equatable {
        package let request: RequestID
        package let result: Result<EmbeddingReport, EmbeddingError>

        package init(request: RequestID, result: Result<EmbeddingReport, EmbeddingError>) {
            self.request = request
            self.result = result
        }
    }
}

extension SchedulerAction {
    mutating func merge(_ other: SchedulerAction) {
        answers += other.answers
        computeWakes += other.computeWakes
        recalls += other.recalls
        tokenizerWakes += other.tokenizerWakes
        inlineChunk = inlineChunk ?? other.inlineChunk
        replacements += other.replacements
        isDrained = isDrained || other.isDrained
        events += other.events
    }
}

package enum BatchingEvent: Sendable, Equatable {
    /// One request's texts were taken.
    package struct Admission: Sendable, Equatable {
        package let lane: Lane
        package let tokenCount: Int
        package var sequenceCount = 0
        /// Of them, those that wait or run already for another request, or stand in this one twice.
        package var sharedCount = 0
        /// Of them, those that lost their end.
        package var truncatedCount = 0

        package init(lane: Lane, tokenCount: Int) {
            self.lane = lane
            self.tokenCount = tokenCount
        }
    }

    case admitted(Admission)
    case tokenized(elapsed: Duration)
    /// A thread took the pass.
    case passBegan(Pass)
    case passEnded(Pass, elapsed: Duration)
    /// Waiting texts left the queue without a pass, since their request ended early.
    case dropped(sequenceCount: Int)
    /// Texts of a pass whose requests had ended before the pass did.
    case discarded(sequenceCount: Int)
    /// The call ended with this error; also when it was cancelled.
    case refused(EmbeddingError)
    /// A compute thread was given up.
    case threadLost
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
