import Embeddings

/// Jobs whose course the test decides. An actor: its state is only its own.
actor FakeJobStore: JobStore {
    private struct Entry {
        var job: Job
        let specification: JobSpecification
        var hash: RequestHash?
        var inputs: [JobInput] = []
        var results: [Int: JobResult] = [:]
    }

    private var entries: [JobID: Entry] = [:]
    /// Oldest first.
    private var order: [JobID] = []
    private var failures: [Call: [StorageError]] = [:]
    private var clock: Int64 = 1_000_000_000
    private(set) var appendSizes: [Int] = []
    private(set) var discarded: [JobID] = []
    private(set) var resultCalls: [(after: Int?, limit: Int)] = []
    private(set) var jobCallCount = 0
    /// Appends are carried out, and then fail.
    private var losesAnswers = false
    /// Is called with each commit before it is decided.
    private var onCommit: (@Sendable () async -> Void)?

    enum Call {
        case append
        case commit
        case job
        case results
    }

    func fail(_ call: Call, _ failures: StorageError..., losingAnswers: Bool = false) {
        self.failures[call] = failures
        losesAnswers = losingAnswers
    }

    func beforeCommit(_ action: @escaping @Sendable () async -> Void) { onCommit = action }

    private func check(_ call: Call) throws(StorageError) {
        guard let failure = failures[call]?.first else { return }
        failures[call]?.removeFirst()
        throw failure
    }

    private func tick() -> Timestamp {
        clock += 1
        return Timestamp(microsecondsSinceUnixEpoch: clock * 1_000_000)
    }

    // MARK: - What tests do to jobs

    /// A committed job of so many inputs, of which `ended` have ended, `failing` of them with an error.
    func add(
        state: JobState, count: Int, ended: some Sequence<Int>, failing: Set<Int> = [],
        collection: DocumentCollection? = nil, source: JobSource = .http, dimensions: Int = HashEmbedder.dimensions
    ) -> JobID {
        let id = JobID.random()
        var job = Job(
            id: id, state: state, source: source, owner: .anonymous, collection: collection?.name,
            modelName: "test/hash-model", dimensions: dimensions, priority: 0, counts: JobCounts(total: count),
            tokenCount: 0, createdAt: tick())
        if state.hasEnded { job.endedAt = tick() }
        let specification = JobSpecification(
            source: source, owner: .anonymous, collection: collection, modelName: job.modelName,
            fingerprint: ModelFingerprint(bytes: Array(repeating: 7, count: 32)), dimensions: dimensions)
        var entry = Entry(job: job, specification: specification)
        entry.inputs = (0..<count).map { JobInput(id: "in-\($0)", content: .success(.init(text: "text \($0)"))) }
        for index in ended {
            let outcome: Result<Embedding, ItemError> =
                failing.contains(index)
                ? .failure(ItemError(code: "poison", message: "no \"vector\""))
                : .success(
                    Embedding(vector: Self.vector(index, dimensions), tokenCount: 3, isTruncated: false))
            entry.results[index] = JobResult(index: index, id: "in-\(index)", outcome: outcome)
        }
        entry.job.counts.failed = failing.count
        entry.job.counts.succeeded = entry.results.count - failing.count
        entries[id] = entry
        order.append(id)
        return id
    }

    /// Halves.
    nonisolated static func vector(_ index: Int, _ dimensions: Int = HashEmbedder.dimensions) -> EmbeddingVector {
        EmbeddingVector((0..<dimensions).map { Float(Float16(Float((index * 31 + $0 * 7) % 101 - 50) / 77)) })
    }

    func change(_ id: JobID, _ change: @Sendable (inout Job) -> Void) {
        guard var job = entries[id]?.job else { return }
        change(&job)
        entries[id]?.job = job
    }

    func forgetResults(of id: JobID) { entries[id]?.results = [:] }
    func inputs(of id: JobID) -> [JobInput] { entries[id]?.inputs ?? [] }
    func specification(of id: JobID) -> JobSpecification? { entries[id]?.specification }
    /// Drafts and jobs.
    var count: Int { entries.count }

    // MARK: - JobStore

    func beginJob(_ specification: JobSpecification) async throws(StorageError) -> JobID {
        let id = JobID.random()
        entries[id] = Entry(
            job: Job(
                id: id, state: .receiving, source: specification.source, owner: specification.owner,
                collection: specification.collection?.name, modelName: specification.modelName,
                dimensions: specification.dimensions, priority: specification.priority, counts: JobCounts(),
                tokenCount: 0, createdAt: tick()),
            specification: specification)
        return id
    }

    func append(_ inputs: [JobInput], at firstIndex: Int, to job: JobID) async throws(StorageError) {
        precondition((1...4_096).contains(inputs.count))
        if !losesAnswers { try check(.append) }
        if let entry = entries[job], entry.inputs.count == firstIndex {
            entries[job]?.inputs += inputs
            appendSizes.append(inputs.count)
        }
        if losesAnswers { try check(.append) }
    }

    func commit(_ job: JobID, hash: RequestHash?) async throws(StorageError) -> JobSubmission {
        await onCommit?()
        try check(.commit)
        guard var entry = entries[job] else { throw .internalFailure(details: "unknown job") }
        if let key = entry.specification.idempotencyKey,
            let earlier = try await submission(of: entry.specification.owner, key: key)
        {
            entries[job] = nil
            return earlier.hash == hash ? .replayed(earlier.job) : .conflict(earlier.job.id)
        }
        entry.hash = hash
        entry.job.state = .queued
        entry.job.counts.total = entry.inputs.count
        entry.job.counts.failed = entry.inputs.count { if case .failure = $0.content { true } else { false } }
        entries[job] = entry
        order.append(job)
        return .accepted(entry.job)
    }

    func discard(_ job: JobID) async throws(StorageError) {
        entries[job] = nil
        discarded.append(job)
    }

    func submission(
        of owner: JobOwner, key: String
    ) async throws(StorageError) -> (job: Job, hash: RequestHash)? {
        for id in order {
            guard let entry = entries[id], let hash = entry.hash, entry.specification.owner == owner,
                entry.specification.idempotencyKey == key
            else { continue }
            return (entry.job, hash)
        }
        return nil
    }

    func job(_ id: JobID) async throws(StorageError) -> Job? {
        jobCallCount += 1
        try check(.job)
        guard let job = entries[id]?.job, job.state != .receiving else { return nil }
        return job
    }

    func jobs(_ query: JobQuery) async throws(StorageError) -> JobPage {
        var found = order.reversed().compactMap { entries[$0]?.job }
        if let after = query.after { found = Array(found.drop { $0.id != after }.dropFirst()) }
        found = found.filter {
            (query.states.isEmpty || query.states.contains($0.state))
                && (query.collection == nil || query.collection == $0.collection)
                && (query.source == nil || query.source == $0.source)
        }
        let page = Array(found.prefix(query.limit))
        return JobPage(jobs: page, next: found.count > page.count ? page.last?.id : nil)
    }

    func results(of job: JobID, after index: Int?, limit: Int) async throws(StorageError) -> [JobResult] {
        resultCalls.append((index, limit))
        try check(.results)
        guard let entry = entries[job] else { return [] }
        var results: [JobResult] = []
        for place in ((index ?? -1) + 1)..<max((index ?? -1) + 1, entry.inputs.count) where results.count < limit {
            if let result = entry.results[place] {
                results.append(result)
            } else if entry.job.state == .cancelled || entry.job.state == .failed {
                let error = entry.job.failure ?? ItemError(code: "cancelled", message: "the job was cancelled")
                results.append(JobResult(index: place, id: entry.inputs[place].id, outcome: .failure(error)))
            }
        }
        return results
    }

    func failures(of job: JobID, after index: Int?, limit: Int) async throws(StorageError) -> [JobFailure] {
        guard let entry = entries[job] else { return [] }
        var failures = entry.inputs.enumerated().compactMap { place, input -> JobFailure? in
            guard case .failure(let error) = input.content else { return nil }
            return JobFailure(index: place, id: input.id, error: error)
        }
        for (place, result) in entry.results {
            if case .failure(let error) = result.outcome {
                failures.append(JobFailure(index: place, id: result.id, error: error))
            }
        }
        return Array(failures.filter { $0.index > index ?? -1 }.sorted { $0.index < $1.index }.prefix(limit))
    }

    func apply(_ command: JobCommand, to job: JobID) async throws(StorageError) -> JobTransition {
        guard let state = entries[job]?.job.state else { return .unknown }
        switch (command, state) {
        case (.pause, .queued), (.pause, .running), (.pause, .paused): entries[job]?.job.state = .paused
        case (.resume, .paused), (.resume, .queued): entries[job]?.job.state = .queued
        case (.cancel, .queued), (.cancel, .running), (.cancel, .paused), (.cancel, .cancelled):
            entries[job]?.job.state = .cancelled
        case (.retryFailed, .completed): entries[job]?.job.state = .queued
        default: return .refused(state)
        }
        return entries[job].map { .done($0.job) } ?? .unknown
    }

    func deleteJob(_ id: JobID) async throws(StorageError) -> Bool {
        entries.removeValue(forKey: id) != nil
    }

    func maintain(_ limits: JobRetention) async throws(StorageError) -> JobMaintenance { JobMaintenance() }
    func queueStatus() async throws(StorageError) -> JobQueueStatus { JobQueueStatus() }
}
