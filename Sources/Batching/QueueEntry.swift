package import Embeddings

/// One call to the embedder. Ids grow in the order of the calls.
package struct RequestID: Sendable, Hashable {
    package let number: UInt64

    package init(_ number: UInt64) {
        self.number = number
    }
}

/// One admitted text on its way to a pass.
package struct QueueEntry: Sendable, Equatable {
    package let request: RequestID
    /// Its place among the request's inputs.
    package let index: Int
    package let sequence: TokenSequence
    package let lane: Lane
    package let arrival: ContinuousClock.Instant
    /// Grows from one admitted entry to the next, over both lanes.
    package let order: UInt64

    package var tokenCount: Int { sequence.ids.count }
}

/// What one compute thread runs next.
package struct Pass: Sendable, Equatable {
    /// In the order they were chosen: the entry that seeded the pass is first.
    package let entries: [QueueEntry]
    package let startedAt: ContinuousClock.Instant
    /// The compute thread that runs it, where idle ones may help; nil: it runs alone.
    package let gangLeader: Int?

    package var lane: Lane { entries[0].lane }
    package var sequenceCount: Int { entries.count }
    package var tokenCount: Int { entries.reduce(0) { $0 + $1.tokenCount } }
    package var width: Int { entries.reduce(0) { max($0, $1.tokenCount) } }
    /// Sequences × width.
    package var rectangleTokenCount: Int { sequenceCount * width }
}
