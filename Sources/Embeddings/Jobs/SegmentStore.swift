/// Jobs as workers see them: segments of a few hundred inputs, leased, and finished behind the lease.
///
/// A segment
/// - is *available* from its job's commit, and again when it is given back, postponed or rescued. Can go to: running.
/// - is *running* while somebody holds its lease. Can go to: available, done; or it is split into two that are available.
/// - is *done* when each of its inputs has a vector or an error. Can go to: available, with the inputs that failed.
package protocol SegmentStore: Sendable {
    /// Leases up to `maximumCount` segments of the model's jobs: the owner served least first, of one owner the job of
    /// the highest priority, of equal ones the oldest, of a job its first segment. Charges each an attempt; but a call
    /// repeated under its claim's id, because its answer was lost, answers what it leased and nobody took since.
    func claimSegments(_ request: SegmentClaim) async throws(StorageError) -> [LeasedSegment]
    /// The segment's inputs that have no outcome yet, in order, with the vectors that equal texts already have.
    func load(_ segment: LeasedSegment) async throws(StorageError) -> [SegmentInput]
    /// Writes the outcome of every input that `load` answered, and ends the segment, in one transaction behind the
    /// lease. May be repeated after an error: a lease is lost with the first success.
    func finish(_ segment: LeasedSegment, with outcomes: [InputOutcome]) async throws(StorageError) -> SegmentFinish
    /// Prolongs the leases, expired ones included as long as nobody rescued them; answers those that are lost.
    func extend(_ leases: [SegmentLease], by duration: Duration) async throws(StorageError) -> Set<SegmentLease>
    /// Makes the segments available at once and takes the attempt back. Lost leases are ignored.
    func giveBack(_ leases: [SegmentLease]) async throws(StorageError)
    /// Makes the segment available after a delay; the attempt stays charged. A lost lease is ignored.
    func postpone(_ lease: SegmentLease, for delay: Duration, because reason: String) async throws(StorageError)
    /// Takes expired leases away. A segment whose attempts are used up is split in two, each with all its attempts
    /// before it; where it is a single input, that input fails.
    func rescue(_ policy: RescuePolicy) async throws(StorageError) -> RescueReport
    /// Makes jobs of documents that SQL enqueued for this model; answers how many documents were taken.
    func gatherEnqueued(for fingerprint: ModelFingerprint, limit: Int) async throws(StorageError) -> Int
}

package struct SegmentClaim: Sendable, Equatable {
    /// Shown to people who look at a segment; it fences nothing.
    package var worker: String
    package var fingerprint: ModelFingerprint
    package var maximumCount: Int
    package var leaseDuration: Duration
    /// Unlike any other claim's, whoever makes it; nil for a claim that is never repeated.
    package var id: String?

    package init(
        worker: String, fingerprint: ModelFingerprint, maximumCount: Int, leaseDuration: Duration, id: String? = nil
    ) {
        self.id = id
        self.worker = worker
        self.fingerprint = fingerprint
        self.maximumCount = maximumCount
        self.leaseDuration = leaseDuration
    }
}

/// The right to finish a segment. Tokens only grow: whoever leases a segment later has the larger one.
package struct SegmentLease: Sendable, Hashable {
    package let segment: Int64
    package let token: Int64

    package init(segment: Int64, token: Int64) {
        self.segment = segment
        self.token = token
    }
}

package struct LeasedSegment: Sendable, Equatable {
    package let lease: SegmentLease
    package let job: JobID
    /// Nil: results only.
    package let collection: DocumentCollection?
    /// 1 for the first.
    package let attempt: Int
    /// Of its inputs, those with an outcome included.
    package let inputCount: Int

    package init(
        lease: SegmentLease, job: JobID, collection: DocumentCollection?, attempt: Int, inputCount: Int
    ) {
        self.lease = lease
        self.job = job
        self.collection = collection
        self.attempt = attempt
        self.inputCount = inputCount
    }
}

package struct SegmentInput: Sendable, Equatable {
    package let index: Int
    package let id: String
    package let text: String
    package let known: KnownEmbedding?

    package init(index: Int, id: String, text: String, known: KnownEmbedding? = nil) {
        self.index = index
        self.id = id
        self.text = text
        self.known = known
    }
}

/// An equal text's embedding by the same model.
package enum KnownEmbedding: Sendable, Equatable {
    /// Rounded to half precision.
    case stored(Embedding)
    /// An earlier input of the same results-only job has it; the result only refers to it.
    case sameJob(index: Int)
}

package struct InputOutcome: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case embedded(Embedding)
        /// An equal text's embedding.
        case deduplicated(Embedding)
        /// Refers to another input of the job that has the vector (in this segment, `.embedded`). In a results-only job alone.
        case sameAs(index: Int)
        case failed(ItemError)
    }

    package let index: Int
    package let kind: Kind

    package init(index: Int, kind: Kind) {
        self.index = index
        self.kind = kind
    }
}

package enum SegmentFinish: Sendable, Equatable {
    case finished
    /// Somebody else has the segment, or its job was cancelled or deleted. Nothing was written.
    case leaseLost
    /// The collection is gone; the job is `failed` now.
    case jobFailed
}

package struct RescuePolicy: Sendable, Equatable {
    /// Attempts after which a segment is split.
    package var maximumAttempts: Int
    /// The least and the most that a rescued segment waits; doubles with each attempt, drawn at random around it.
    package var backoff: ClosedRange<Duration>
    /// A server that has been up for less than this has not heard of every living worker yet: nothing is rescued.
    package var minimumServerAge: Duration

    package init(maximumAttempts: Int, backoff: ClosedRange<Duration>, minimumServerAge: Duration) {
        self.maximumAttempts = maximumAttempts
        self.backoff = backoff
        self.minimumServerAge = minimumServerAge
    }
}

package struct RescueReport: Sendable, Equatable {
    package var rescued: Int
    package var split: Int
    package var failedInputs: Int

    package init(rescued: Int = 0, split: Int = 0, failedInputs: Int = 0) {
        self.rescued = rescued
        self.split = split
        self.failedInputs = failedInputs
    }
}
