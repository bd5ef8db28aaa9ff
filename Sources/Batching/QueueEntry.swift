package import Embeddings

/// One call to the embedder. Ids grow in the order of the calls.
package struct RequestID: Sendable, Hashable {
    package let number: UInt64

    package init(_ number: UInt64) {
        self.number = number
    }
}

/// One admitted text on its way to a pass, whoever else asks for the same.
package struct QueueEntry: Sendable, Equatable {
    /// The request that brought it.
    package let request: RequestID
    /// Its place among that request's inputs.
    package let index: Int
    package let sequence: TokenSequence
    package let lane: Lane
    /// Whose turn it takes.
    package let client: ClientID
    package let arrival: ContinuousClock.Instant
    /// When its request was told to expect the answer.
    package let due: ContinuousClock.Instant
    /// Names the text. Grows from one admitted text to the next, over both lanes.
    package let order: UInt64

    package var tokenCount: Int { sequence.ids.count }
}

/// What one compute thread runs next.
package struct Pass: Sendable, Equatable {
    /// In the order in which passes began.
    package let number: UInt64
    /// In the order they were chosen: the entry that seeded the pass is first.
    package let entries: [QueueEntry]
    package let startedAt: ContinuousClock.Instant
    /// The compute thread that runs it.
    package let thread: Int
    /// That thread, where idle ones may help; nil: it runs alone.
    package let gangLeader: Int?
    /// Whether it runs between two steps of another pass of its thread.
    package let isInterlude: Bool
    /// Whether interactive work may run between its steps.
    package let allowsInterludes: Bool
    /// How often it was begun before, by threads that were lost with it.
    package let attempt: Int

    package var lane: Lane { entries[0].lane }
    package var sequenceCount: Int { entries.count }
    package var tokenCount: Int { entries.reduce(0) { $0 + $1.tokenCount } }
    package var width: Int { entries.reduce(0) { max($0, $1.tokenCount) } }
    /// Sequences × width.
    package var rectangleTokenCount: Int { sequenceCount * width }
}
