package import Embeddings
import Synchronization

/// Jobs in this process's memory, forgotten when it ends. A lock guards them; the documents' own lock is only ever taken
/// inside it.
package final class MemoryJobStore: JobStore {
    private let jobs: Mutex<MemoryJobs>
    private let now: @Sendable () -> Timestamp

    /// - Parameter documents: where the vectors of a collection's jobs go.
    package init(documents: MemoryDocumentStore, now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }) {
        jobs = Mutex(MemoryJobs(documents: documents, startedAt: now()))
        self.now = now
    }

    /// The time is read inside the lock, so that it never runs backwards from one change to the next.
    func change<Result: Sendable>(
        _ body: (inout MemoryJobs, _ now: Timestamp) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try jobs.withLock { jobs throws(StorageError) in try body(&jobs, now()) }
    }

    package func beginJob(_ specification: JobSpecification) async throws(StorageError) -> JobID {
        try change { jobs, now throws(StorageError) in try jobs.begin(specification, now: now) }
    }

    package func append(_ inputs: [JobInput], at firstIndex: Int, to job: JobID) async throws(StorageError) {
        precondition((1...4_096).contains(inputs.count))
        try change { jobs, now throws(StorageError) in try jobs.append(inputs, at: firstIndex, to: job, now: now) }
    }

    package func commit(_ job: JobID, hash: RequestHash?) async throws(StorageError) -> JobSubmission {
        try change { jobs, now throws(StorageError) in try jobs.commit(job, hash: hash, now: now) }
    }

    package func discard(_ job: JobID) async throws(StorageError) {
        try change { jobs, _ in jobs.discard(job) }
    }

    package func submission(
        of owner: JobOwner, key: String
    ) async throws(StorageError) -> (job: Job, hash: RequestHash)? {
        let found: MemoryJobs.Submission? = try change { jobs, now in jobs.submission(of: owner, key: key, now: now) }
        return found.map { ($0.job, $0.hash) }
    }

    package func job(_ id: JobID) async throws(StorageError) -> Job? {
        try change { jobs, now in jobs.visible(id)?.described(now: now) }
    }

    package func jobs(_ query: JobQuery) async throws(StorageError) -> JobPage {
        try change { jobs, _ in jobs.page(query) }
    }

    package func results(
        of job: JobID, after index: Int?, limit: Int
    ) async throws(StorageError) -> [JobResult] {
        try change { jobs, _ in jobs.results(of: job, after: index, limit: limit) }
    }

    package func failures(
        of job: JobID, after index: Int?, limit: Int
    ) async throws(StorageError) -> [JobFailure] {
        try change { jobs, _ in jobs.visible(job)?.failures(after: index, limit: limit) ?? [] }
    }

    package func apply(_ command: JobCommand, to job: JobID) async throws(StorageError) -> JobTransition {
        try change { jobs, now in jobs.apply(command, to: job, now: now) }
    }

    package func deleteJob(_ id: JobID) async throws(StorageError) -> Bool {
        try change { jobs, _ in jobs.delete(id) }
    }

    package func maintain(_ limits: JobRetention) async throws(StorageError) -> JobMaintenance {
        try change { jobs, now in jobs.maintain(limits, now: now) }
    }

    package func queueStatus() async throws(StorageError) -> JobQueueStatus {
        try change { jobs, now in jobs.status(now: now) }
    }
}

extension MemoryJobStore: SegmentStore {
    package func claimSegments(_ request: SegmentClaim) async throws(StorageError) -> [LeasedSegment] {
        try change { jobs, now in jobs.claim(request, now: now) }
    }

    package func load(_ segment: LeasedSegment) async throws(StorageError) -> [SegmentInput] {
        try change { jobs, _ in jobs.load(segment) }
    }

    package func finish(
        _ segment: LeasedSegment, with outcomes: [InputOutcome]
    ) async throws(StorageError) -> SegmentFinish {
        try change { jobs, now in jobs.finish(segment, with: outcomes, now: now) }
    }

    package func extend(
        _ leases: [SegmentLease], by duration: Duration
    ) async throws(StorageError) -> Set<SegmentLease> {
        try change { jobs, now in
            let expiry = now.advanced(by: duration)
            var lost: Set<SegmentLease> = []
            for lease in leases where !jobs.extend(lease, until: expiry) { lost.insert(lease) }
            return lost
        }
    }

    package func giveBack(_ leases: [SegmentLease]) async throws(StorageError) {
        try change { jobs, _ in
            for lease in leases { jobs.giveBack(lease) }
        }
    }

    package func postpone(
        _ lease: SegmentLease, for delay: Duration, because reason: String
    ) async throws(StorageError) {
        try change { jobs, now in jobs.postpone(lease, until: now.advanced(by: delay)) }
    }

    package func rescue(_ policy: RescuePolicy) async throws(StorageError) -> RescueReport {
        try change { jobs, now in jobs.rescue(policy, now: now) }
    }

    /// Nobody enqueues by SQL where there is no database.
    package func gatherEnqueued(
        for fingerprint: ModelFingerprint, limit: Int
    ) async throws(StorageError) -> Int { 0 }
}
