import Embeddings
import Synchronization

/// Segments of jobs in memory, with lease tokens that fence, and with faults as a test wants them.
final class ScriptedSegmentStore: SegmentStore {
    enum Operation: Hashable {
        case claim
        case load
        case finish
        case extend
        case giveBack
        case postpone
        case rescue
        case gather
    }

    struct Segment {
        let number: Int64
        let job: JobID
        let collection: DocumentCollection?
        let inputs: [SegmentInput]
        var attempt = 0
        var token: Int64?
        var outcomes: [InputOutcome]?
        var refusedFinishes = 0
    }

    struct State {
        var segments: [Segment] = []
        var lastToken: Int64 = 0
        var calls: [Operation: Int] = [:]
        /// What an operation fails with now; asked before it does anything.
        var fault: @Sendable (Operation) -> StorageError? = { _ in nil }
        /// What a finish fails with after it was carried out.
        var lostAnswers = 0
        var rescues: [RescuePolicy] = []
        var postponements: [String] = []
        /// Tokens that somebody else took away.
        var stolen: Set<Int64> = []
    }

    private let state = Mutex(State())

    func change<R: Sendable>(_ body: @Sendable (inout State) -> R) -> R { state.withLock { body(&$0) } }

    var segments: [Segment] { state.withLock { $0.segments } }
    var calls: [Operation: Int] { state.withLock { $0.calls } }
    var isDone: Bool { segments.allSatisfy { $0.outcomes != nil } }
    var outcomes: [InputOutcome] { segments.flatMap { $0.outcomes ?? [] } }

    /// A job of so many segments; answers its id.
    @discardableResult
    func add(_ texts: [String], segmentSize: Int = 256, collection: DocumentCollection? = nil) -> JobID {
        let job = JobID.random()
        state.withLock { state in
            for start in stride(from: 0, to: texts.count, by: segmentSize) {
                let inputs = (start..<min(start + segmentSize, texts.count)).map {
                    SegmentInput(index: $0, id: "\($0)", text: texts[$0])
                }
                state.segments.append(
                    Segment(
                        number: Int64(state.segments.count + 1), job: job, collection: collection, inputs: inputs))
            }
        }
        return job
    }

    private func begin(_ operation: Operation) throws(StorageError) {
        let fault = state.withLock { state in
            state.calls[operation, default: 0] += 1
            return state.fault
        }
        if let error = fault(operation) { throw error }
    }

    func claimSegments(_ request: SegmentClaim) async throws(StorageError) -> [LeasedSegment] {
        try begin(.claim)
        return state.withLock { state in
            guard let place = state.segments.firstIndex(where: { $0.token == nil && $0.outcomes == nil }) else {
                return []
            }
            state.lastToken += 1
            state.segments[place].token = state.lastToken
            state.segments[place].attempt += 1
            let segment = state.segments[place]
            return [
                LeasedSegment(
                    lease: SegmentLease(segment: segment.number, token: state.lastToken), job: segment.job,
                    collection: segment.collection, attempt: segment.attempt, inputCount: segment.inputs.count)
            ]
        }
    }

    func load(_ segment: LeasedSegment) async throws(StorageError) -> [SegmentInput] {
        try begin(.load)
        return state.withLock { $0.segments[Int(segment.lease.segment) - 1].inputs }
    }

    func finish(
        _ segment: LeasedSegment, with outcomes: [InputOutcome]
    ) async throws(StorageError) -> SegmentFinish {
        try begin(.finish)
        let result = state.withLock { state -> Result<SegmentFinish, StorageError> in
            let place = Int(segment.lease.segment) - 1
            guard state.holds(segment.lease) else {
                state.segments[place].refusedFinishes += 1
                return .success(.leaseLost)
            }
            state.segments[place].outcomes = outcomes
            state.segments[place].token = nil
            guard state.lostAnswers == 0 else {
                state.lostAnswers -= 1
                return .failure(.unavailable(details: "the answer was lost"))
            }
            return .success(.finished)
        }
        return try result.get()
    }

    func extend(
        _ leases: [SegmentLease], by duration: Duration
    ) async throws(StorageError) -> Set<SegmentLease> {
        try begin(.extend)
        return state.withLock { state in Set(leases.filter { !state.holds($0) }) }
    }

    func giveBack(_ leases: [SegmentLease]) async throws(StorageError) {
        try begin(.giveBack)
        state.withLock { state in
            for lease in leases where state.holds(lease) {
                state.segments[Int(lease.segment) - 1].token = nil
                state.segments[Int(lease.segment) - 1].attempt -= 1
            }
        }
    }

    func postpone(_ lease: SegmentLease, for delay: Duration, because reason: String) async throws(StorageError) {
        try begin(.postpone)
        state.withLock { state in
            guard state.holds(lease) else { return }
            state.postponements.append(reason)
            state.segments[Int(lease.segment) - 1].token = nil
        }
    }

    func rescue(_ policy: RescuePolicy) async throws(StorageError) -> RescueReport {
        try begin(.rescue)
        state.withLock { $0.rescues.append(policy) }
        return RescueReport()
    }

    func gatherEnqueued(for fingerprint: ModelFingerprint, limit: Int) async throws(StorageError) -> Int {
        try begin(.gather)
        return 0
    }
}

extension ScriptedSegmentStore.State {
    fileprivate func holds(_ lease: SegmentLease) -> Bool {
        segments[Int(lease.segment) - 1].token == lease.token && !stolen.contains(lease.token)
    }
}
