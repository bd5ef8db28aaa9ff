import Embeddings
import JSON

/// What workers do with a job.
extension MemoryJob {
    /// Leases the first segment that can be leased.
    mutating func claim(
        _ claimID: String?, token: Int64, until expiry: Timestamp, now: Timestamp
    ) -> LeasedSegment? {
        guard isActive, let place = segments.firstIndex(where: { $0.isClaimable(at: now) }) else { return nil }
        segments[place].state = .running(token: token, expiresAt: expiry)
        segments[place].claimID = claimID
        segments[place].attempt += 1
        job.state = .running
        job.startedAt = job.startedAt ?? now
        return leasedSegment(at: place, token: token)
    }

    /// What the claim holds already, its leases prolonged.
    mutating func leased(by claimID: String, until expiry: Timestamp) -> [LeasedSegment] {
        var leased: [LeasedSegment] = []
        for place in segments.indices where segments[place].claimID == claimID {
            guard case .running(let token, _) = segments[place].state else { continue }
            segments[place].state = .running(token: token, expiresAt: expiry)
            leased.append(leasedSegment(at: place, token: token))
        }
        return leased
    }

    private func leasedSegment(at place: Int, token: Int64) -> LeasedSegment {
        LeasedSegment(
            lease: SegmentLease(segment: segments[place].id, token: token), job: job.id,
            collection: specification.collection, attempt: segments[place].attempt,
            inputCount: segments[place].inputs.count)
    }

    /// Where the leased segment stands; nil where the lease is lost.
    func place(of lease: SegmentLease) -> Int? {
        guard isOpen else { return nil }
        return segments.firstIndex { $0.id == lease.segment && $0.isLeased(with: lease.token) }
    }

    func pending(in segment: MemorySegment) -> [Int] { segment.inputs.filter { inputs[$0].outcome == nil } }

    /// Ends a segment. The vectors of a collection's job have been written by now.
    mutating func finish(segmentAt place: Int, with outcomes: [InputOutcome], now: Timestamp) {
        for outcome in outcomes where inputs[outcome.index].outcome == nil {
            settle(outcome)
        }
        let left = pending(in: segments[place])
        precondition(left.isEmpty, "\(left.count) inputs of a segment were left without an outcome")
        segments[place].state = .done(at: now)
        completeIfDone(now: now)
    }

    private mutating func settle(_ outcome: InputOutcome) {
        let index = outcome.index
        switch outcome.kind {
        case .embedded(let embedding):
            keep(embedding, at: index)
            job.tokenCount += embedding.tokenCount
            job.counts.succeeded += 1
        case .deduplicated(let embedding):
            keep(embedding, at: index)
            job.counts.succeeded += 1
            job.counts.deduplicated += 1
        case .sameAs(let other):
            precondition(specification.collection == nil, "a collection's documents have a vector each")
            inputs[index].outcome = .sameAs(index: other)
            job.counts.succeeded += 1
            job.counts.deduplicated += 1
        case .failed(let error):
            inputs[index].outcome = .failed(error)
            job.counts.failed += 1
        }
    }

    private mutating func keep(_ embedding: Embedding, at index: Int) {
        guard specification.collection == nil else {
            inputs[index].outcome = .inCollection
            return
        }
        inputs[index].outcome = .embedded(
            HalfVector(rounding: embedding.vector), tokenCount: embedding.tokenCount,
            isTruncated: embedding.isTruncated)
        if let text = inputs[index].content?.text { indexOfText[ExactText(text)] = index }
    }

    mutating func extend(_ lease: SegmentLease, until expiry: Timestamp) -> Bool {
        guard let place = place(of: lease) else { return false }
        segments[place].state = .running(token: lease.token, expiresAt: expiry)
        return true
    }

    mutating func giveBack(_ lease: SegmentLease) {
        guard let place = place(of: lease) else { return }
        segments[place].state = .available
        segments[place].attempt -= 1
    }

    mutating func postpone(_ lease: SegmentLease, until time: Timestamp) {
        guard let place = place(of: lease) else { return }
        segments[place].state = .available
        segments[place].runAt = time
    }

    /// - Parameter wait: how long a segment rests after so many attempts.
    mutating func rescue(
        maximumAttempts: Int, wait: (_ attempt: Int) -> Duration, segmentID: () -> Int64, now: Timestamp
    ) -> RescueReport {
        var report = RescueReport()
        guard isOpen, segments.contains(where: { $0.isExpired(at: now) }) else { return report }
        var rescued: [MemorySegment] = []
        for var segment in segments {
            guard segment.isExpired(at: now) else {
                rescued.append(segment)
                continue
            }
            if segment.attempt < maximumAttempts {
                report.rescued += 1
                segment.state = .available
                segment.runAt = now.advanced(by: wait(segment.attempt))
                rescued.append(segment)
                continue
            }
            let pending = pending(in: segment)
            if pending.count > 1 {
                report.split += 1
                let middle = pending[pending.count / 2]
                for part in [segment.inputs.lowerBound..<middle, middle..<segment.inputs.upperBound] {
                    let byteCount = part.reduce(0) { $0 + (inputs[$1].content?.text.utf8.count ?? 0) }
                    rescued.append(
                        MemorySegment(id: segmentID(), inputs: part, byteCount: byteCount, runAt: now))
                }
            } else {
                report.failedInputs += pending.count
                for index in pending {
                    inputs[index].outcome = .failed(Self.workerLost)
                    job.counts.failed += 1
                }
                segment.state = .done(at: now)
                rescued.append(segment)
            }
        }
        segments = rescued
        completeIfDone(now: now)
        return report
    }
}

// What an input without a vector has instead.
extension MemoryJob {
    static let workerLost = ItemError(code: "worker_lost", message: "every worker that took this input was lost")

    static let superseded = ItemError(
        code: "superseded", message: "the document has another text by now, or is gone from the collection")

    static let cancelled = ItemError(
        code: "cancelled", message: "the job was cancelled before this input was embedded")

    static func collectionGone(_ name: CollectionName) -> ItemError {
        ItemError(code: "collection_not_found", message: "the collection '\(name)' is gone")
    }
}
