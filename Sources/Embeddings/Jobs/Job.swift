/// A durable piece of bulk work: many texts, each of which ends with a vector or with an error.
package struct Job: Sendable, Equatable {
    package var id: JobID
    package var state: JobState
    package var source: JobSource
    package var owner: JobOwner
    /// Where documents go; nil where only results are wanted.
    package var collection: CollectionName?
    package var modelName: String
    package var dimensions: Int
    /// Higher first, among the jobs of one owner.
    package var priority: Int
    package var counts: JobCounts
    /// Tokens that the encoder read for it.
    package var tokenCount: Int
    package var createdAt: Timestamp
    package var startedAt: Timestamp?
    package var endedAt: Timestamp?
    /// When its inputs and results were dropped, which `--job-retention` decides.
    package var dataDroppedAt: Timestamp?
    /// Inputs that ended in the last half minute, by the second; nil where none did, and in listings.
    package var inputsPerSecond: Double?
    /// Why it is `failed`.
    package var failure: ItemError?

    package init(
        id: JobID, state: JobState, source: JobSource, owner: JobOwner, collection: CollectionName?, modelName: String,
        dimensions: Int, priority: Int, counts: JobCounts, tokenCount: Int, createdAt: Timestamp,
        startedAt: Timestamp? = nil, endedAt: Timestamp? = nil, dataDroppedAt: Timestamp? = nil,
        inputsPerSecond: Double? = nil, failure: ItemError? = nil
    ) {
        self.id = id
        self.state = state
        self.source = source
        self.owner = owner
        self.collection = collection
        self.modelName = modelName
        self.dimensions = dimensions
        self.priority = priority
        self.counts = counts
        self.tokenCount = tokenCount
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.dataDroppedAt = dataDroppedAt
        self.inputsPerSecond = inputsPerSecond
        self.failure = failure
    }
}

package enum JobState: String, Sendable, CaseIterable {
    /// Its inputs still arrive; no one but its sender sees it. Can go to: queued, or it is swept away.
    case receiving
    /// Nothing of it has been begun. Can go to: running, paused, cancelled, failed.
    case queued
    /// Can go to: paused, completed, cancelled, failed.
    case running
    /// No segment of it is begun; those under way end. Can go to: queued, running, completed, cancelled, failed.
    case paused
    /// Every input has a vector or an error. Can go to: queued, when what failed is tried again.
    case completed
    /// What was not done by then is never done. Final.
    case cancelled
    /// It cannot go on, as when its collection was dropped. Final.
    case failed

    package var hasEnded: Bool {
        switch self {
        case .receiving, .queued, .running, .paused: false
        case .completed, .cancelled, .failed: true
        }
    }
}

/// Who made a job.
package enum JobSource: String, Sendable, CaseIterable {
    /// `POST /v1/jobs`.
    case http
    /// `POST /v1/batches`.
    case batch
    /// `ovenbird.enqueue` in SQL.
    case sql
}

/// Between owners service is fair. For HTTP it is the API key that was used, as the start of its SHA-256, or `anonymous`.
package struct JobOwner: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    /// - Precondition: 1 to 64 bytes, no NUL.
    package init(_ text: String) {
        precondition((1...64).contains(text.utf8.count) && !text.utf8.contains(0))
        description = text
    }

    package static let anonymous = JobOwner("anonymous")
}

/// What became of a job's inputs; `succeeded + failed` grows to `total`.
package struct JobCounts: Sendable, Equatable {
    package var total: Int
    package var succeeded: Int
    package var failed: Int
    /// Of those that succeeded: their vector was taken from an equal text computed before.
    package var deduplicated: Int

    package init(total: Int = 0, succeeded: Int = 0, failed: Int = 0, deduplicated: Int = 0) {
        self.total = total
        self.succeeded = succeeded
        self.failed = failed
        self.deduplicated = deduplicated
    }
}

/// A moment by the clock on the wall, the database's where there is one.
package struct Timestamp: Sendable, Hashable, Comparable {
    package let microsecondsSinceUnixEpoch: Int64

    package init(microsecondsSinceUnixEpoch: Int64) {
        self.microsecondsSinceUnixEpoch = microsecondsSinceUnixEpoch
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microsecondsSinceUnixEpoch < right.microsecondsSinceUnixEpoch
    }

    /// Whole seconds, as OpenAI's objects carry them.
    package var secondsSinceUnixEpoch: Int64 { microsecondsSinceUnixEpoch / 1_000_000 }
}

/// Why one input has no vector, or a job cannot go on. Safe to send to a client.
package struct ItemError: Error, Sendable, Equatable {
    /// A word for programs, such as `invalid_line`.
    package let code: String
    package let message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}
