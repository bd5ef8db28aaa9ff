/// Jobs as their senders see them, in PostgreSQL or in memory, behind one contract. An unknown job is nil; so is one that
/// is still `receiving`, and one that was deleted.
package protocol JobStore: Sendable {
    /// A new job in state `receiving`.
    func beginJob(_ specification: JobSpecification) async throws(StorageError) -> JobID
    /// Appends inputs in one transaction, as one segment or several. `firstIndex` is the number of inputs before them;
    /// a call repeated after an error (whose first try may have been committed) changes nothing more.
    ///
    /// - Precondition: 1 to 4,096 inputs.
    func append(_ inputs: [JobInput], at firstIndex: Int, to job: JobID) async throws(StorageError)
    /// Makes the job `queued` (or `completed` at once, where no input can be embedded), and claims its idempotency key,
    /// both or neither. May be repeated after an error.
    func commit(_ job: JobID, hash: RequestHash?) async throws(StorageError) -> JobSubmission
    /// Drops a job that is still `receiving`.
    func discard(_ job: JobID) async throws(StorageError)
    /// What an owner's idempotency key names.
    func submission(
        of owner: JobOwner, key: String
    ) async throws(StorageError) -> (job: Job, hash: RequestHash)?

    func job(_ id: JobID) async throws(StorageError) -> Job?
    func jobs(_ query: JobQuery) async throws(StorageError) -> JobPage
    /// The inputs that have ended, in order, behind `index`; fewer than `limit` only where no more of them have ended.
    /// Where the job was cancelled or failed, all of its inputs have: those that were not done with an error that says so.
    func results(of job: JobID, after index: Int?, limit: Int) async throws(StorageError) -> [JobResult]
    /// In order, behind `index`.
    func failures(of job: JobID, after index: Int?, limit: Int) async throws(StorageError) -> [JobFailure]

    func apply(_ command: JobCommand, to job: JobID) async throws(StorageError) -> JobTransition
    /// Makes the job unknown at once, whatever its state; its rows go later. False where it was unknown already.
    func deleteJob(_ id: JobID) async throws(StorageError) -> Bool

    /// One bounded step of housekeeping: abandoned uploads, data beyond its retention, rows of deleted jobs.
    func maintain(_ limits: JobRetention) async throws(StorageError) -> JobMaintenance
    /// Costs the same however many jobs there are: no count goes beyond a limit.
    func queueStatus() async throws(StorageError) -> JobQueueStatus
}

package struct JobRetention: Sendable, Equatable {
    /// How long an upload may rest before it is taken for abandoned.
    package var abandonedUploads: Duration
    /// How long after a job's end its inputs and results are kept.
    package var endedJobs: Duration

    package init(abandonedUploads: Duration, endedJobs: Duration) {
        self.abandonedUploads = abandonedUploads
        self.endedJobs = endedJobs
    }
}

package struct JobMaintenance: Sendable, Equatable {
    package var sweptUploads = 0
    package var droppedJobs = 0
    /// Whether another step would find work at once.
    package var hasMore = false

    package init() {}
}

package struct JobQueueStatus: Sendable, Equatable {
    /// Of the job that has waited longest with nothing of it begun.
    package var oldestQueuedAge: Duration
    /// Inputs that wait, of at most `countLimit` jobs.
    package var queuedInputs: Int
    package var runningSegments: Int
    /// At most `countLimit` each.
    package var jobsByState: [JobState: Int]

    /// Rows that are looked at for one count, so that it costs a few milliseconds however many there are.
    package static let countLimit = 10_000

    package init(
        oldestQueuedAge: Duration = .zero, queuedInputs: Int = 0, runningSegments: Int = 0,
        jobsByState: [JobState: Int] = [:]
    ) {
        self.oldestQueuedAge = oldestQueuedAge
        self.queuedInputs = queuedInputs
        self.runningSegments = runningSegments
        self.jobsByState = jobsByState
    }
}
