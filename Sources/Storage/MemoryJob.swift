import Embeddings
import JSON

/// One job with its inputs and what became of them.
struct MemoryJob: Sendable {
    enum Outcome: Sendable {
        case embedded(HalfVector, tokenCount: Int, isTruncated: Bool)
        /// Another input of the job has the vector.
        case sameAs(index: Int)
        /// The job's collection has the vector, unless a later text has taken its place.
        case inCollection
        case failed(ItemError)
    }

    struct Input: Sendable {
        let id: String
        /// Nil where the line held no text.
        let content: JobInput.Content?
        /// Of two texts for one document the one with the larger version wins.
        let version: Int64
        /// Nil: none yet.
        var outcome: Outcome?
    }

    /// Later jobs have larger ones.
    let number: Int64
    let specification: JobSpecification
    var job: Job
    var hash: RequestHash?
    /// When its upload last brought something.
    var touchedAt: Timestamp
    var queuedAt: Timestamp?
    /// Its sender dropped it, or another job holds its idempotency key.
    var isDeleted = false
    var inputs: [Input] = []
    /// In the order of their inputs.
    var segments: [MemorySegment] = []
    /// Where a text's vector is, in a job that keeps its vectors itself.
    var indexOfText: [ExactText: Int] = [:]

    init(number: Int64, id: JobID, specification: JobSpecification, now: Timestamp) {
        self.number = number
        self.specification = specification
        touchedAt = now
        job = Job(
            id: id, state: .receiving, source: specification.source, owner: specification.owner,
            collection: specification.collection?.name, modelName: specification.modelName,
            dimensions: specification.dimensions, priority: specification.priority, counts: JobCounts(), tokenCount: 0,
            createdAt: now)
    }

    var isVisible: Bool { !isDeleted && job.state != .receiving }

    /// Whether segments of it may be begun.
    var isActive: Bool { !isDeleted && (job.state == .queued || job.state == .running) }

    /// Whether segments under way may end.
    var isOpen: Bool { !isDeleted && (isActive || job.state == .paused) }

    // MARK: - What its sender does

    mutating func append(_ added: [Input], segmentID: () -> Int64, now: Timestamp) {
        let byteCounts = added.map { $0.content?.text.utf8.count ?? 0 }
        for run in MemorySegment.runs(of: byteCounts, from: inputs.count) {
            let inputs = added[run.inputs.lowerBound - inputs.count..<run.inputs.upperBound - inputs.count]
            var segment = MemorySegment(id: segmentID(), inputs: run.inputs, byteCount: run.byteCount, runAt: now)
            if inputs.allSatisfy({ $0.outcome != nil }) { segment.state = .done(at: now) }
            segments.append(segment)
        }
        inputs += added
        job.counts.total = inputs.count
        job.counts.failed += added.count { $0.outcome != nil }
        touchedAt = now
    }

    mutating func commit(hash: RequestHash?, now: Timestamp) {
        self.hash = hash
        queuedAt = now
        job.state = .queued
        completeIfDone(now: now)
    }

    mutating func apply(_ command: JobCommand, now: Timestamp) -> JobTransition {
        switch (command, job.state) {
        case (_, .receiving): return .unknown
        case (.pause, .queued), (.pause, .running): job.state = .paused
        case (.pause, .paused), (.resume, .queued), (.resume, .running), (.cancel, .cancelled): break
        case (.resume, .paused): job.state = job.startedAt == nil ? .queued : .running
        case (.cancel, .queued), (.cancel, .running), (.cancel, .paused): end(as: .cancelled, now: now)
        case (.retryFailed, .completed) where job.dataDroppedAt == nil: retryFailed(now: now)
        case (.pause, .completed), (.pause, .cancelled), (.pause, .failed), (.resume, .completed),
            (.resume, .cancelled), (.resume, .failed), (.cancel, .completed), (.cancel, .failed),
            (.retryFailed, .completed), (.retryFailed, .queued), (.retryFailed, .running), (.retryFailed, .paused),
            (.retryFailed, .cancelled),
            (.retryFailed, .failed):
            return .refused(job.state)
        }
        return .done(job)
    }

    private mutating func retryFailed(now: Timestamp) {
        for place in segments.indices {
            var count = 0
            for index in segments[place].inputs {
                guard case .failed = inputs[index].outcome, inputs[index].content != nil else { continue }
                inputs[index].outcome = nil
                count += 1
            }
            guard count > 0 else { continue }
            segments[place].state = .available
            segments[place].attempt = 0
            segments[place].runAt = now
            job.counts.failed -= count
            job.state = .queued
            queuedAt = now
            job.endedAt = nil
        }
    }

    // MARK: - Its ends

    mutating func completeIfDone(now: Timestamp) {
        guard isOpen, job.counts.succeeded + job.counts.failed == job.counts.total else { return }
        end(as: .completed, now: now)
    }

    mutating func fail(_ error: ItemError, now: Timestamp) {
        job.failure = error
        end(as: .failed, now: now)
    }

    private mutating func end(as state: JobState, now: Timestamp) {
        job.state = state
        job.endedAt = now
        takeLeasesAway()
    }

    /// Whoever has a segment under way can no longer end it.
    private mutating func takeLeasesAway() {
        for place in segments.indices {
            if case .running = segments[place].state { segments[place].state = .available }
        }
    }

    mutating func delete() {
        isDeleted = true
        dropData()
    }

    mutating func dropData() {
        inputs = []
        segments = []
        indexOfText = [:]
    }

    // MARK: - What its sender reads

    /// By the second, over the last half minute or since it was begun.
    func inputsPerSecond(now: Timestamp) -> Double? {
        let window = Duration.seconds(30)
        var count = 0
        for segment in segments {
            if case .done(let end) = segment.state, end.duration(to: now) <= window { count += segment.inputs.count }
        }
        guard count > 0, let startedAt = job.startedAt else { return nil }
        let seconds = max(.seconds(1), min(window, startedAt.duration(to: now))) / .seconds(1)
        return Double(count) / seconds
    }

    func failures(after index: Int?, limit: Int) -> [JobFailure] {
        var failures: [JobFailure] = []
        for index in inputs.indices.suffix(from: min(inputs.count, (index ?? -1) + 1)) {
            guard failures.count < limit else { break }
            guard case .failed(let error) = inputs[index].outcome else { continue }
            failures.append(JobFailure(index: index, id: inputs[index].id, error: error))
        }
        return failures
    }
}
