import Embeddings

/// Files and batches as values: what `MemoryBatchStore` guards.
struct MemoryBatches {
    struct File {
        let order: Int
        let name: String
        var content = FileContent.uploaded
        var chunks: [Int: [UInt8]] = [:]
        var byteCount = 0
        var createdAt: Timestamp
        var touchedAt: Timestamp
        /// Nil while it arrives.
        var expiresAt: Timestamp?
    }

    struct Entry {
        let order: Int
        var batch: Batch
        var ending: BatchEnding?
        var requests: [BatchRequest] = []
        var attempt = 0
        var runAt: Timestamp
        var lease: (token: Int64, expiresAt: Timestamp)?
    }

    var files: [FileID: File] = [:]
    var batches: [BatchID: Entry] = [:]
    private var lastOrder = 0
    private var lastToken: Int64 = 0

    mutating func nextOrder() -> Int {
        lastOrder += 1
        return lastOrder
    }

    func file(_ id: FileID, now: Timestamp) -> StoredFile? {
        guard let file = files[id], let expiresAt = file.expiresAt, expiresAt > now else { return nil }
        return StoredFile(
            id: id, content: file.content, name: file.name, byteCount: file.byteCount, createdAt: file.createdAt,
            expiresAt: expiresAt)
    }

    func reader(of file: FileID) -> BatchID? {
        batches.values.first { $0.batch.inputFile == file && $0.batch.status == .validating }?.batch.id
    }

    /// Drops a file, and the requests of a batch that no other file tells of.
    mutating func drop(_ id: FileID, now: Timestamp) {
        guard case .view(let batch, _) = files.removeValue(forKey: id)?.content else { return }
        let isTold = files.values.contains { file in
            guard case .view(batch, _) = file.content, let expiresAt = file.expiresAt else { return false }
            return expiresAt > now
        }
        if !isTold { batches[batch]?.requests = [] }
    }

    /// Changes a batch in the name of who leases it, in one of the states; false, and nothing changed, for anybody else.
    mutating func change(
        _ lease: BatchLease, in states: Set<BatchStatus>, _ body: (inout Entry) -> Void
    ) -> Bool {
        guard var entry = batches[lease.batch], entry.lease?.token == lease.token, states.contains(entry.batch.status)
        else { return false }
        body(&entry)
        batches[lease.batch] = entry
        return true
    }

    /// - Parameter isWorking: whether a batch's job has not ended.
    mutating func claim(for duration: Duration, now: Timestamp, isWorking: Set<JobID>) -> LeasedBatch? {
        let due = batches.values.filter { entry in
            guard !entry.batch.status.hasEnded, entry.runAt <= now else { return false }
            if let lease = entry.lease, lease.expiresAt >= now { return false }
            guard entry.batch.status == .inProgress, entry.batch.moments.expires > now else { return true }
            return !(entry.batch.job.map(isWorking.contains) ?? false)
        }
        guard var entry = due.min(by: { ($0.runAt, $0.order) < ($1.runAt, $1.order) }) else { return nil }
        lastToken += 1
        entry.lease = (lastToken, now.advanced(by: duration))
        entry.attempt += 1
        batches[entry.batch.id] = entry
        return LeasedBatch(
            lease: BatchLease(batch: entry.batch.id, token: lastToken), batch: entry.batch, attempt: entry.attempt,
            isOverdue: entry.batch.moments.expires <= now, ending: entry.ending)
    }

    mutating func end(_ lease: BatchLease, _ end: BatchEnd, now: Timestamp) -> Bool {
        var made: [BatchPart: FileID] = [:]
        for (part, byteCount) in [(BatchPart.output, end.outputByteCount), (.error, end.errorByteCount)]
        where byteCount > 0 {
            made[part] = .random()
        }
        let isOurs = change(lease, in: [.finalizing, .cancelling]) { entry in
            switch end.ending {
            case .completed: (entry.batch.status, entry.batch.moments.completed) = (.completed, now)
            case .expired: (entry.batch.status, entry.batch.moments.expired) = (.expired, now)
            case .cancelled: (entry.batch.status, entry.batch.moments.cancelled) = (.cancelled, now)
            }
            entry.ending = end.ending
            entry.batch.outputFile = made[.output]
            entry.batch.errorFile = made[.error]
            entry.batch.counts = end.counts
            entry.batch.tokenCount = end.tokenCount
            entry.lease = nil
            // Nothing ran, so nothing is told.
            if made.isEmpty { entry.requests = [] }
        }
        guard isOurs else { return false }
        var expiresAt = now.advanced(by: end.fileLifetime)
        if let latest = end.filesEndBy { expiresAt = min(expiresAt, latest) }
        for (part, id) in made {
            var file = File(
                order: nextOrder(), name: "\(lease.batch)_\(part.rawValue).jsonl", createdAt: now, touchedAt: now)
            file.content = .view(of: lease.batch, part)
            file.byteCount = part == .output ? end.outputByteCount : end.errorByteCount
            file.expiresAt = expiresAt
            files[id] = file
        }
        return true
    }
}
