/// What a batcher does now and did lately, for people who watch it. It holds lengths and counts, never a text.
package struct BatchingActivity: Sendable, Equatable {
    /// When this was so.
    package var moment: ContinuousClock.Instant
    /// Passes that ended behind the cursor that was asked for, in the order in which they ended, the newest ones.
    package var passes: [PassRecord]
    /// Passes that ended behind the cursor, too, and are not remembered any more, or too many to be told.
    package var missedPassCount: Int
    /// What to ask with next time.
    package var cursor: UInt64
    /// Passes that are under way, in the order in which they began.
    package var runningPasses: [PassRecord]
    package var lanes: [Lane: LaneLoad]
    /// Calls that wait for their answer.
    package var callCount: Int
    /// Tokens of admitted and unfinished texts.
    package var admittedTokenCount: Int
    package var totals: BatchingTotals

    package init(
        moment: ContinuousClock.Instant, passes: [PassRecord] = [], missedPassCount: Int = 0, cursor: UInt64 = 0,
        runningPasses: [PassRecord] = [], lanes: [Lane: LaneLoad] = [:], callCount: Int = 0,
        admittedTokenCount: Int = 0, totals: BatchingTotals = BatchingTotals()
    ) {
        self.moment = moment
        self.passes = passes
        self.missedPassCount = missedPassCount
        self.cursor = cursor
        self.runningPasses = runningPasses
        self.lanes = lanes
        self.callCount = callCount
        self.admittedTokenCount = admittedTokenCount
        self.totals = totals
    }
}

/// One forward pass.
package struct PassRecord: Sendable, Equatable {
    /// Grows from one pass to the next, in the order in which they began.
    package var number: UInt64
    /// The compute thread that ran it.
    package var thread: Int
    /// Where its first text waited.
    package var lane: Lane
    /// Whether other threads were let help.
    package var isShared: Bool
    /// Whether it ran between two steps of another pass of its thread, which lasted longer for it.
    package var isInterlude: Bool
    package var startedAt: ContinuousClock.Instant
    /// From its begin to its end; nil while it runs.
    package var duration: Duration?
    package var sequenceCount: Int
    /// Real tokens.
    package var tokenCount: Int
    /// Tokens of the longest text.
    package var width: Int
    /// Tokens of its first texts, at most `lengthLimit` of them, in the pass's order.
    package var lengths: [UInt16]

    /// Texts of a pass whose lengths are kept: more rows than that nobody tells apart.
    package static let lengthLimit = 256

    package init(
        number: UInt64, thread: Int, lane: Lane, isShared: Bool, isInterlude: Bool, startedAt: ContinuousClock.Instant,
        duration: Duration? = nil, sequenceCount: Int, tokenCount: Int, width: Int, lengths: [UInt16]
    ) {
        self.number = number
        self.thread = thread
        self.lane = lane
        self.isShared = isShared
        self.isInterlude = isInterlude
        self.startedAt = startedAt
        self.duration = duration
        self.sequenceCount = sequenceCount
        self.tokenCount = tokenCount
        self.width = width
        self.lengths = lengths
    }
}

/// What waits in a lane for a pass.
package struct LaneLoad: Sendable, Equatable {
    package var textCount: Int
    package var tokenCount: Int
    /// Of the text that has waited longest; nil where none waits.
    package var oldestAge: Duration?

    package init(textCount: Int, tokenCount: Int, oldestAge: Duration?) {
        self.textCount = textCount
        self.tokenCount = tokenCount
        self.oldestAge = oldestAge
    }
}

/// Sums since the process began.
package struct BatchingTotals: Sendable, Equatable {
    package var passCount = 0
    package var textCount = 0
    /// Real tokens.
    package var tokenCount = 0
    /// Sequences × width.
    package var rectangleTokenCount = 0
    /// Texts that left the queue without a pass, since their call had ended.
    package var droppedTextCount = 0
    /// Texts that were computed for nobody, since their call ended meanwhile.
    package var discardedTextCount = 0
    /// Calls that ended without vectors, by the words of `ovenbird_embedding_failures_total`.
    package var refusals: [String: Int] = [:]

    package init() {}
}
