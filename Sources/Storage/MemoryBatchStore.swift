package import Embeddings
import JSON
import Synchronization

/// Files and batches in this process's memory, forgotten when it ends. A lock guards them.
package final class MemoryBatchStore: BatchStore {
    private let state = Mutex(MemoryBatches())
    private let jobs: any JobStore
    private let now: @Sendable () -> Timestamp

    /// - Parameter jobs: where the batches' jobs are.
    package init(jobs: any JobStore, now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }) {
        self.jobs = jobs
        self.now = now
    }

    // MARK: - Files

    package func beginFile(named name: String) async throws(StorageError) -> FileID {
        let id = FileID.random()
        let now = now()
        state.withLock { state in
            state.files[id] = .init(order: state.nextOrder(), name: name, createdAt: now, touchedAt: now)
        }
        return id
    }

    package func append(_ bytes: [UInt8], as chunk: Int, to file: FileID) async throws(StorageError) {
        let now = now()
        let isKnown = state.withLock { state in
            guard let arriving = state.files[file], arriving.expiresAt == nil else { return false }
            if arriving.chunks[chunk] == nil { state.files[file]?.chunks[chunk] = bytes }
            state.files[file]?.touchedAt = now
            return true
        }
        guard isKnown else { throw .unavailable(details: "the upload was taken for abandoned") }
    }

    package func completeFile(_ id: FileID, lifetime: Duration) async throws(StorageError) -> StoredFile? {
        let now = now()
        return state.withLock { state in
            if let file = state.files[id], file.expiresAt == nil {
                state.files[id]?.createdAt = now
                state.files[id]?.expiresAt = now.advanced(by: lifetime)
                state.files[id]?.byteCount = file.chunks.values.reduce(0) { $0 + $1.count }
            }
            return state.file(id, now: now)
        }
    }

    package func discardFile(_ id: FileID) async throws(StorageError) {
        state.withLock { state in
            if state.files[id]?.expiresAt == nil { state.files[id] = nil }
        }
    }

    package func file(_ id: FileID) async throws(StorageError) -> StoredFile? {
        let now = now()
        return state.withLock { $0.file(id, now: now) }
    }

    package func files(_ query: FileQuery) async throws(StorageError) -> FilePage? {
        let now = now()
        return state.withLock { state in
            var found = state.files.sorted { $0.value.order < $1.value.order }
            if query.order == .newestFirst { found.reverse() }
            if let after = query.after {
                guard let place = found.firstIndex(where: { $0.key == after }) else { return nil }
                found.removeFirst(place + 1)
            }
            let visible = found.compactMap { state.file($0.key, now: now) }
                .filter { query.purpose == nil || $0.purpose == query.purpose }
            return FilePage(files: Array(visible.prefix(query.limit)), hasMore: visible.count > query.limit)
        }
    }

    package func deleteFile(_ id: FileID) async throws(StorageError) -> FileDeletion {
        let now = now()
        return state.withLock { state in
            guard state.file(id, now: now) != nil else { return .unknown }
            if let reader = state.reader(of: id) { return .inUse(by: reader) }
            state.drop(id, now: now)
            return .deleted
        }
    }

    package func content(of file: FileID, chunk: Int) async throws(StorageError) -> [UInt8]? {
        state.withLock { state in
            guard let found = state.files[file], found.expiresAt != nil else { return nil }
            return found.chunks[chunk]
        }
    }

    // MARK: - Batches

    package func createBatch(_ specification: BatchSpecification) async throws(StorageError) -> Batch? {
        let now = now()
        return state.withLock { state in
            guard state.file(specification.inputFile, now: now)?.content == .uploaded else { return nil }
            let batch = Batch(
                id: .random(), status: .validating, owner: specification.owner, inputFile: specification.inputFile,
                metadata: specification.metadata, outputLifetime: specification.outputLifetime,
                moments: BatchMoments(created: now, expires: now.advanced(by: specification.completionWindow)))
            state.batches[batch.id] = .init(order: state.nextOrder(), batch: batch, runAt: now)
            return batch
        }
    }

    package func batch(_ id: BatchID) async throws(StorageError) -> Batch? {
        state.withLock { $0.batches[id]?.batch }
    }

    package func batches(after: BatchID?, limit: Int) async throws(StorageError) -> BatchPage? {
        state.withLock { state in
            var found = state.batches.values.sorted { $0.order > $1.order }.map(\.batch)
            if let after {
                guard let place = found.firstIndex(where: { $0.id == after }) else { return nil }
                found.removeFirst(place + 1)
            }
            return BatchPage(batches: Array(found.prefix(limit)), hasMore: found.count > limit)
        }
    }

    package func cancelBatch(_ id: BatchID) async throws(StorageError) -> BatchCancellation {
        let now = now()
        return state.withLock { state in
            guard var entry = state.batches[id] else { return .unknown }
            switch entry.batch.status {
            case .validating, .inProgress:
                entry.batch.status = .cancelling
                entry.batch.moments.cancelling = now
                entry.attempt = 0
                entry.runAt = now
                entry.lease = nil
                state.batches[id] = entry
                return .done(entry.batch)
            case .cancelling, .cancelled: return .done(entry.batch)
            case .finalizing, .failed, .completed, .expired: return .refused(entry.batch.status)
            }
        }
    }

    package func requests(
        of batch: BatchID, afterLine line: Int, limit: Int
    ) async throws(StorageError) -> [BatchRequest] {
        state.withLock { state in
            Array((state.batches[batch]?.requests ?? []).drop { $0.line <= line }.prefix(limit))
        }
    }

    // MARK: - Work

    package func claimBatch(for duration: Duration) async throws(StorageError) -> LeasedBatch? {
        let candidates = state.withLock { state in
            state.batches.values.filter { $0.batch.status == .inProgress }.compactMap(\.batch.job)
        }
        var working: Set<JobID> = []
        for id in candidates where try await jobs.job(id)?.state.hasEnded == false { working.insert(id) }
        let now = now()
        return state.withLock { [working] in $0.claim(for: duration, now: now, isWorking: working) }
    }

    package func extend(_ lease: BatchLease, by duration: Duration) async throws(StorageError) -> Bool {
        let end = now().advanced(by: duration)
        return change(lease) { $0.lease?.expiresAt = end }
    }

    package func release(
        _ lease: BatchLease, pause: Duration, _ charge: AttemptCharge
    ) async throws(StorageError) -> Bool {
        let runAt = now().advanced(by: pause)
        return change(lease) { entry in
            entry.runAt = runAt
            if charge == .refunded { entry.attempt = max(0, entry.attempt - 1) }
            entry.lease = nil
        }
    }

    package func beginValidation(_ lease: BatchLease, draft: JobID) async throws(StorageError) -> Bool {
        change(lease, in: [.validating]) { entry in
            entry.batch.job = draft
            entry.requests = []
        }
    }

    package func append(
        _ requests: [BatchRequest], _ lease: BatchLease
    ) async throws(StorageError) -> BatchRequestsAppended {
        var duplicates: [Int] = []
        let isHeld = change(lease, in: [.validating]) { entry in
            var known = Set(entry.requests.map { ExactText($0.customID) })
            for request in requests {
                if known.insert(ExactText(request.customID)).inserted {
                    entry.requests.append(request)
                } else {
                    duplicates.append(request.line)
                }
            }
        }
        return isHeld ? .appended(duplicateLines: duplicates) : .leaseLost
    }

    package func refuse(_ lease: BatchLease, errors: [BatchError]) async throws(StorageError) -> Bool {
        let now = now()
        return change(lease, in: [.validating]) { entry in
            entry.batch.status = .failed
            entry.batch.moments.failed = now
            entry.batch.job = nil
            entry.batch.errors = errors
            entry.requests = []
            entry.lease = nil
        }
    }

    package func start(_ lease: BatchLease, _ start: BatchStart) async throws(StorageError) -> Bool {
        let now = now()
        return change(lease, in: [.validating]) { entry in
            entry.batch.status = .inProgress
            entry.batch.moments.inProgress = now
            entry.batch.job = start.job
            entry.batch.modelName = start.modelName
            entry.batch.counts = BatchCounts(total: start.requestCount, failed: start.refusedCount)
            entry.batch.inputCount = start.inputCount
            entry.attempt = 0
            entry.runAt = now
            entry.lease = nil
        }
    }

    package func beginFinalizing(_ lease: BatchLease, ending: BatchEnding) async throws(StorageError) -> Bool {
        let now = now()
        return change(lease, in: [.inProgress, .finalizing]) { entry in
            entry.batch.status = .finalizing
            entry.batch.moments.finalizing = entry.batch.moments.finalizing ?? now
            entry.ending = entry.ending ?? ending
        }
    }

    package func end(_ lease: BatchLease, _ end: BatchEnd) async throws(StorageError) -> Bool {
        let now = now()
        return state.withLock { $0.end(lease, end, now: now) }
    }

    package func maintain(abandonedUploads: Duration) async throws(StorageError) -> Bool {
        let now = now()
        return state.withLock { state in
            let doomed = state.files.filter { id, file in
                guard let expiresAt = file.expiresAt else {
                    return file.touchedAt.advanced(by: abandonedUploads) < now
                }
                return expiresAt <= now && state.reader(of: id) == nil
            }
            for id in doomed.keys { state.drop(id, now: now) }
            return false
        }
    }

    private func change(
        _ lease: BatchLease, in states: Set<BatchStatus> = Set(BatchStatus.allCases),
        _ body: (inout MemoryBatches.Entry) -> Void
    ) -> Bool {
        state.withLock { $0.change(lease, in: states, body) }
    }
}
