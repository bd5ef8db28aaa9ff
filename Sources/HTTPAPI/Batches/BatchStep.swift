import Embeddings
import Logging

/// One batch's next step, from its claim to the end of its lease.
struct BatchStep {
    private let work: BatchWork
    private let parser: BodyParser
    private let onJobCommitted: @Sendable () -> Void

    init(_ work: BatchWork, parser: BodyParser, onJobCommitted: @escaping @Sendable () -> Void) {
        self.work = work
        self.parser = parser
        self.onJobCommitted = onJobCommitted
    }

    func perform() async throws(BatchWork.Interruption) {
        let duty = BatchDuty(work.leased, job: try await job(), maximumAttempts: work.configuration.maximumAttempts)
        switch duty {
        case .validate: try await validate()
        case .giveUp:
            let error = BatchError(code: "internal_error", message: "the file could not be checked")
            try await work.fenced { () async throws(StorageError) in
                try await work.store.refuse(work.lease, errors: [error])
            }
        case .finish(let ending, let stopsJob): try await finish(ending, stopsJob: stopsJob)
        case .wait:
            try await work.fenced { () async throws(StorageError) in
                try await work.store.release(work.lease, pause: work.configuration.pollInterval, .refunded)
            }
        }
        Logger.current.debug("Worked on a batch", metadata: ["batch": "\(work.batch.id)", "step": "\(duty)"])
    }

    private func job() async throws(BatchWork.Interruption) -> Job? {
        guard let id = work.batch.job else { return nil }
        return try await work.stored { () async throws(StorageError) in try await work.jobs.job(id) }
    }

    // MARK: - Validation

    private func validate() async throws(BatchWork.Interruption) {
        if let old = work.batch.job { try await discard(old) }
        // The batch's id is the job's idempotency key: however often this is begun, and by however many, one job is made.
        let specification = JobSpecification(
            source: .batch, owner: work.batch.owner, collection: nil, model: work.model,
            idempotencyKey: work.batch.id.description)
        let draft = try await work.stored { () async throws(StorageError) in
            try await work.jobs.beginJob(specification)
        }
        do throws(BatchWork.Interruption) {
            try await work.fenced { () async throws(StorageError) in
                try await work.store.beginValidation(work.lease, draft: draft)
            }
            var validation = BatchValidation(work, draft: draft, parser: parser)
            switch try await validation.run() {
            case .refused(let errors):
                try await work.fenced { () async throws(StorageError) in
                    try await work.store.refuse(work.lease, errors: errors)
                }
                try await discard(draft)
            case .valid(let start): try await commit(start, draft: draft)
            }
        } catch {
            // Another attempt makes a draft of its own; one that cannot be dropped now is swept away later.
            try? await discard(draft)
            throw error
        }
    }

    private func commit(_ start: BatchStart, draft: JobID) async throws(BatchWork.Interruption) {
        var start = start
        if start.job == nil {
            try await discard(draft)
        } else {
            let submission = try await work.stored { () async throws(StorageError) in
                try await work.jobs.commit(draft, hash: RequestHash(of: work.batch.id))
            }
            switch submission {
            case .accepted(let job), .replayed(let job): start.job = job.id
            case .conflict(let id):
                throw .storage(.internalFailure(details: "\(work.batch.id) names \(id), which is not its own"))
            }
            onJobCommitted()
        }
        let isStarted = try await work.stored { () async throws(StorageError) in
            try await work.store.start(work.lease, start)
        }
        guard !isStarted else { return }
        // Cancelled while it was validated: then nobody else knows of the job.
        let now = try await work.stored { () async throws(StorageError) in try await work.store.batch(work.batch.id) }
        if let job = start.job, now?.status == .cancelling || now?.status == .cancelled { try await stop(job) }
        throw .leaseLost
    }

    private func discard(_ job: JobID) async throws(BatchWork.Interruption) {
        try await work.stored { () async throws(StorageError) in try await work.jobs.discard(job) }
    }

    // MARK: - The end

    private func finish(_ ending: BatchEnding, stopsJob: Bool) async throws(BatchWork.Interruption) {
        if work.batch.status == .inProgress {
            try await work.fenced { () async throws(StorageError) in
                try await work.store.beginFinalizing(work.lease, ending: ending)
            }
        }
        if stopsJob, let job = work.batch.job { try await stop(job) }
        var end = BatchEnd(
            ending: ending, fileLifetime: work.batch.outputLifetime ?? work.configuration.fileLifetime)
        // A batch that was cancelled before its requests were all known answers none of them.
        if work.batch.moments.inProgress != nil {
            let job = try await job()
            try await measure(&end, job: job)
            end.filesEndBy = job?.endedAt?.advanced(by: work.configuration.resultRetention)
        }
        try await work.fenced { [end] () async throws(StorageError) in try await work.store.end(work.lease, end) }
    }

    /// Writes every answer once, and keeps nothing but how long it is.
    private func measure(_ end: inout BatchEnd, job: Job?) async throws(BatchWork.Interruption) {
        var answers = BatchAnswers(
            of: work.batch, ending: end.ending, job: job, store: work.store, jobs: work.jobs,
            pageSize: work.configuration.resultsPerPage)
        var line: [UInt8] = []
        while true {
            let answer: BatchAnswer?
            do throws(StorageError) { answer = try await answers.next() } catch { throw .storage(error) }
            guard let answer else { return }
            line.removeAll(keepingCapacity: true)
            answer.writeLine(to: &line)
            end.counts.total += 1
            end.tokenCount += answer.tokenCount
            switch answer.part {
            case .output:
                end.counts.completed += 1
                end.outputByteCount += line.count
            case .error:
                end.counts.failed += 1
                end.errorByteCount += line.count
            }
            try await work.keepLease()
        }
    }

    private func stop(_ job: JobID) async throws(BatchWork.Interruption) {
        // Refused where it has ended: so much the better. Unknown: nothing to stop.
        _ = try await work.stored { () async throws(StorageError) in try await work.jobs.apply(.cancel, to: job) }
    }
}

extension Timestamp {
    fileprivate func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            microsecondsSinceUnixEpoch: microsecondsSinceUnixEpoch + seconds * 1_000_000 + attoseconds
                / 1_000_000_000_000)
    }
}

extension RequestHash {
    /// Of a batch's job: the batch itself, in 32 bytes.
    fileprivate init(of batch: BatchID) {
        let text = Array(batch.description.utf8.prefix(32))
        self.init(bytes: text + Array(repeating: 0, count: 32 - text.count))
    }
}
