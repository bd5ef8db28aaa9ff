import Embeddings
import JSON

/// All jobs of a `MemoryJobStore`, with the time as an argument.
struct MemoryJobs: Sendable {
    struct Submission: Sendable {
        let job: Job
        let hash: RequestHash
    }

    private struct SubmissionName: Hashable {
        let owner: JobOwner
        let key: ExactText
    }

    struct ComputedText: Hashable {
        let fingerprint: ModelFingerprint
        let text: ExactText
    }

    let documents: MemoryDocumentStore
    let startedAt: Timestamp
    var jobs: [Int64: MemoryJob] = [:]
    private var numbers: [JobID: Int64] = [:]
    private var submissions: [SubmissionName: Int64] = [:]
    /// Jobs whose segments may be begun or are under way.
    private(set) var open: Set<Int64> = []
    private var lastNumber: Int64 = 0
    var lastSegment: Int64 = 0
    private var lastToken: Int64 = 0
    var jobOfSegment: [Int64: Int64] = [:]
    /// Bytes of text given to workers, by owner; who has had least is served next.
    var servedByteCounts: [JobOwner: Int] = [:]
    /// Which results-only job has a text's vector.
    var jobOfText: [ComputedText: Int64] = [:]

    init(documents: MemoryDocumentStore, startedAt: Timestamp) {
        self.documents = documents
        self.startedAt = startedAt
    }

    // MARK: - Submission

    mutating func begin(_ specification: JobSpecification, now: Timestamp) throws(StorageError) -> JobID {
        if let collection = specification.collection, !documents.exists(collection) {
            throw .collectionNotFound(collection.name)
        }
        lastNumber += 1
        let id = JobID.random()
        numbers[id] = lastNumber
        jobs[lastNumber] = MemoryJob(number: lastNumber, id: id, specification: specification, now: now)
        return id
    }

    mutating func append(
        _ inputs: [JobInput], at firstIndex: Int, to id: JobID, now: Timestamp
    ) throws(StorageError) {
        guard let number = numbers[id], let job = jobs[number], job.job.state == .receiving, !job.isDeleted else {
            throw .internalFailure(details: "\(id) does not receive inputs")
        }
        let count = job.inputs.count
        guard firstIndex == count || firstIndex + inputs.count <= count else {
            throw .internalFailure(details: "\(id) has \(count) inputs, and not \(firstIndex)")
        }
        // Before then it is a call repeated whose first try was heard.
        guard firstIndex == count else { return }
        let added = inputs.map { input in
            switch input.content {
            case .success(let content):
                MemoryJob.Input(id: input.id, content: content, version: documents.nextVersion(), outcome: nil)
            case .failure(let error):
                MemoryJob.Input(id: input.id, content: nil, version: 0, outcome: .failed(error))
            }
        }
        let firstSegment = lastSegment + 1
        var segment = lastSegment
        jobs[number]?.append(
            added,
            segmentID: {
                segment += 1
                return segment
            }, now: now)
        lastSegment = segment
        for id in firstSegment..<segment + 1 { jobOfSegment[id] = number }
    }

    mutating func commit(_ id: JobID, hash: RequestHash?, now: Timestamp) throws(StorageError) -> JobSubmission {
        guard let number = numbers[id], let job = jobs[number] else {
            throw .internalFailure(details: "\(id) is unknown")
        }
        let specification = job.specification
        if let key = specification.idempotencyKey {
            let name = SubmissionName(owner: specification.owner, key: ExactText(key))
            if let other = submissions[name], other != number, let standing = jobs[other] {
                jobs[number]?.delete()
                return standing.hash == hash ? .replayed(standing.described(now: now)) : .conflict(standing.job.id)
            }
            if !job.isDeleted { submissions[name] = number }
        }
        guard !job.isDeleted else { throw .internalFailure(details: "\(id) was dropped") }
        if job.job.state == .receiving {
            jobs[number]?.commit(hash: hash, now: now)
            noteState(of: number)
            settleCredit(of: number)
        }
        guard let committed = jobs[number] else { throw .internalFailure(details: "\(id) is unknown") }
        return .accepted(committed.described(now: now))
    }

    mutating func discard(_ id: JobID) {
        guard let number = numbers[id], jobs[number]?.job.state == .receiving else { return }
        remove(number)
    }

    func submission(of owner: JobOwner, key: String, now: Timestamp) -> Submission? {
        guard let number = submissions[SubmissionName(owner: owner, key: ExactText(key))], let job = jobs[number],
            let hash = job.hash
        else { return nil }
        return Submission(job: job.described(now: now), hash: hash)
    }

    // MARK: - Reading

    func visible(_ id: JobID) -> MemoryJob? {
        numbers[id].flatMap { jobs[$0] }.flatMap { $0.isVisible ? $0 : nil }
    }

    func page(_ query: JobQuery) -> JobPage {
        var before = Int64.max
        if let after = query.after {
            guard let number = numbers[after] else { return JobPage(jobs: [], next: nil) }
            before = number
        }
        let matching = jobs.values.lazy.filter { candidate in
            candidate.isVisible && candidate.number < before
                && (query.states.isEmpty || query.states.contains(candidate.job.state))
                && (query.collection == nil || query.collection == candidate.job.collection)
                && (query.source == nil || query.source == candidate.job.source)
        }
        let page = matching.map { ($0.number, $0.job) }.sorted { $0.0 > $1.0 }.prefix(query.limit + 1).map(\.1)
        return JobPage(
            jobs: Array(page.prefix(query.limit)), next: page.count > query.limit ? page[query.limit - 1].id : nil)
    }

    func results(of id: JobID, after index: Int?, limit: Int) -> [JobResult] {
        guard let job = visible(id) else { return [] }
        let first = min(job.inputs.count, (index ?? -1) + 1)
        let isCutShort = job.job.state == .cancelled || job.job.state == .failed
        let ended = job.inputs.indices[first...].lazy.filter { isCutShort || job.inputs[$0].outcome != nil }
        return ended.prefix(limit).map { index in
            JobResult(index: index, id: job.inputs[index].id, outcome: outcome(of: index, in: job))
        }
    }

    private func outcome(of index: Int, in job: MemoryJob) -> Result<Embedding, ItemError> {
        let input = job.inputs[index]
        switch input.outcome {
        case .failed(let error): return .failure(error)
        case .embedded(let vector, let tokenCount, let isTruncated):
            return .success(Embedding(vector: vector.widened, tokenCount: tokenCount, isTruncated: isTruncated))
        case .sameAs(let other): return outcome(of: other, in: job)
        case .inCollection:
            let embedding = job.specification.collection.flatMap { collection in
                documents.embedding(of: input.id, text: input.content?.text ?? "", in: collection)
            }
            return embedding.map { .success($0) } ?? .failure(MemoryJob.superseded)
        // Only shown where the job was cut short.
        case nil: return .failure(job.job.failure ?? MemoryJob.cancelled)
        }
    }

    // MARK: - Commands and housekeeping

    mutating func apply(_ command: JobCommand, to id: JobID, now: Timestamp) -> JobTransition {
        guard let number = numbers[id], jobs[number]?.isVisible == true else { return .unknown }
        let transition = jobs[number]?.apply(command, now: now) ?? .unknown
        noteState(of: number)
        guard case .done = transition else { return transition }
        if command == .resume || command == .retryFailed { settleCredit(of: number) }
        return jobs[number].map { .done($0.described(now: now)) } ?? .unknown
    }

    mutating func delete(_ id: JobID) -> Bool {
        guard let number = numbers[id], jobs[number]?.isVisible == true else { return false }
        remove(number)
        return true
    }

    mutating func maintain(_ limits: JobRetention, now: Timestamp) -> JobMaintenance {
        var report = JobMaintenance()
        for (number, job) in jobs {
            if job.job.state == .receiving, job.touchedAt.duration(to: now) >= limits.abandonedUploads {
                remove(number)
                // One that lost its key to another was no upload that somebody abandoned.
                report.sweptUploads += job.isDeleted ? 0 : 1
            } else if let endedAt = job.job.endedAt, job.job.dataDroppedAt == nil,
                endedAt.duration(to: now) >= limits.endedJobs
            {
                dropData(of: number)
                jobs[number]?.job.dataDroppedAt = now
                report.droppedJobs += 1
            }
        }
        return report
    }

    func status(now: Timestamp) -> JobQueueStatus {
        var status = JobQueueStatus()
        for job in jobs.values where !job.isDeleted {
            status.jobsByState[job.job.state, default: 0] += 1
            if job.job.state == .queued, let queuedAt = job.queuedAt {
                status.oldestQueuedAge = max(status.oldestQueuedAge, queuedAt.duration(to: now))
            }
            guard job.isOpen else { continue }
            for segment in job.segments {
                switch segment.state {
                case .available where job.isActive: status.queuedInputs += job.pending(in: segment).count
                case .running: status.runningSegments += 1
                case .available, .done: break
                }
            }
        }
        return status
    }

    // MARK: - Bookkeeping

    mutating func nextToken() -> Int64 {
        lastToken += 1
        return lastToken
    }

    /// After every change of a job's state.
    mutating func noteState(of number: Int64) {
        if jobs[number]?.isOpen == true { open.insert(number) } else { open.remove(number) }
    }

    /// Who had nothing to do for a while has not saved up a claim to be served before everybody else: he begins where the
    /// one among those at work stands who has had least.
    private mutating func settleCredit(of number: Int64) {
        guard let owner = jobs[number]?.job.owner, jobs[number]?.job.state == .queued else { return }
        let active = open.compactMap { jobs[$0] }.filter { $0.isActive && $0.number != number }
        guard !active.contains(where: { $0.job.owner == owner }),
            let least = active.map({ servedByteCounts[$0.job.owner] ?? 0 }).min()
        else { return }
        servedByteCounts[owner] = max(least, servedByteCounts[owner] ?? 0)
    }

    private mutating func dropData(of number: Int64) {
        guard let job = jobs[number] else { return }
        for segment in job.segments { jobOfSegment[segment.id] = nil }
        for text in job.indexOfText.keys {
            let computed = ComputedText(fingerprint: job.specification.fingerprint, text: text)
            if jobOfText[computed] == number { jobOfText[computed] = nil }
        }
        jobs[number]?.dropData()
    }

    private mutating func remove(_ number: Int64) {
        dropData(of: number)
        guard let job = jobs.removeValue(forKey: number) else { return }
        numbers[job.job.id] = nil
        open.remove(number)
        if let key = job.specification.idempotencyKey {
            let name = SubmissionName(owner: job.specification.owner, key: ExactText(key))
            if submissions[name] == number { submissions[name] = nil }
        }
    }
}

extension MemoryJob {
    func described(now: Timestamp) -> Job {
        var described = job
        described.inputsPerSecond = inputsPerSecond(now: now)
        return described
    }
}
