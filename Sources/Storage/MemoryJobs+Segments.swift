import Embeddings
import JSON

/// What workers do with the jobs.
extension MemoryJobs {
    mutating func claim(_ request: SegmentClaim, now: Timestamp) -> [LeasedSegment] {
        var leased = repeated(request, now: now)
        while leased.count < request.maximumCount, let number = next(for: request.fingerprint, now: now) {
            let token = nextToken()
            let expiry = now.advanced(by: request.leaseDuration)
            guard let segment = jobs[number]?.claim(request.id, token: token, until: expiry, now: now),
                let job = jobs[number],
                let place = job.place(of: segment.lease)
            else { break }
            servedByteCounts[job.job.owner, default: 0] += job.segments[place].byteCount
            leased.append(segment)
        }
        return leased
    }

    /// What this very claim has leased already.
    private mutating func repeated(_ request: SegmentClaim, now: Timestamp) -> [LeasedSegment] {
        guard let id = request.id else { return [] }
        let expiry = now.advanced(by: request.leaseDuration)
        return open.flatMap { jobs[$0]?.leased(by: id, until: expiry) ?? [] }
    }

    /// The job that is served next: of the owner served least, by priority, then by age.
    private func next(for fingerprint: ModelFingerprint, now: Timestamp) -> Int64? {
        let waiting = open.lazy.compactMap { jobs[$0] }.filter { job in
            job.isActive && job.specification.fingerprint == fingerprint
                && job.segments.contains { $0.isClaimable(at: now) }
        }
        func rank(_ job: MemoryJob) -> (Int, Int, Int64) {
            (servedByteCounts[job.job.owner] ?? 0, -job.job.priority, job.number)
        }
        return waiting.min { rank($0) < rank($1) }?.number
    }

    func load(_ segment: LeasedSegment) -> [SegmentInput] {
        guard let job = jobOfSegment[segment.lease.segment].flatMap({ jobs[$0] }),
            let place = job.place(of: segment.lease)
        else { return [] }
        let pending = job.pending(in: job.segments[place]).compactMap { index in
            job.inputs[index].content.map { (index: index, id: job.inputs[index].id, text: $0.text) }
        }
        let known: [KnownEmbedding?]
        if let collection = job.specification.collection {
            let stored = documents.embeddings(of: pending.map { ($0.id, $0.text) }, for: collection)
            known = stored.map { $0.map(KnownEmbedding.stored) }
        } else {
            known = pending.map { knownResult(of: $0.text, in: job) }
        }
        return zip(pending, known).map { SegmentInput(index: $0.index, id: $0.id, text: $0.text, known: $1) }
    }

    private func knownResult(of text: String, in job: MemoryJob) -> KnownEmbedding? {
        let text = ExactText(text)
        if let index = job.indexOfText[text] { return .sameJob(index: index) }
        let computed = ComputedText(fingerprint: job.specification.fingerprint, text: text)
        guard let other = jobOfText[computed].flatMap({ jobs[$0] }), let index = other.indexOfText[text],
            case .embedded(let vector, let tokenCount, let isTruncated) = other.inputs[index].outcome
        else { return nil }
        return .stored(Embedding(vector: vector.widened, tokenCount: tokenCount, isTruncated: isTruncated))
    }

    mutating func finish(
        _ segment: LeasedSegment, with outcomes: [InputOutcome], now: Timestamp
    ) -> SegmentFinish {
        guard let number = jobOfSegment[segment.lease.segment], let job = jobs[number],
            let place = job.place(of: segment.lease)
        else { return .leaseLost }
        defer { noteState(of: number) }
        if let collection = job.specification.collection {
            guard documents.write(Self.writes(of: outcomes, in: job), to: collection) else {
                jobs[number]?.fail(MemoryJob.collectionGone(collection.name), now: now)
                return .jobFailed
            }
        }
        for outcome in outcomes where job.specification.collection == nil {
            switch outcome.kind {
            case .embedded, .deduplicated:
                guard let text = job.inputs[outcome.index].content?.text else { continue }
                let computed = ComputedText(fingerprint: job.specification.fingerprint, text: ExactText(text))
                jobOfText[computed] = number
            case .sameAs, .failed: break
            }
        }
        jobs[number]?.finish(segmentAt: place, with: outcomes, now: now)
        return .finished
    }

    private static func writes(
        of outcomes: [InputOutcome], in job: MemoryJob
    ) -> [MemoryDocumentStore.JobWrite] {
        outcomes.compactMap { outcome in
            let input = job.inputs[outcome.index]
            guard let content = input.content, input.outcome == nil else { return nil }
            switch outcome.kind {
            case .embedded(let embedding), .deduplicated(let embedding):
                let draft = DocumentDraft(id: input.id, text: content.text, metadata: content.metadata)
                return MemoryDocumentStore.JobWrite(draft: draft, embedding: embedding, version: input.version)
            case .sameAs, .failed: return nil
            }
        }
    }

    /// False where the lease is lost.
    mutating func extend(_ lease: SegmentLease, until expiry: Timestamp) -> Bool {
        jobOfSegment[lease.segment].flatMap { jobs[$0]?.extend(lease, until: expiry) } ?? false
    }

    mutating func giveBack(_ lease: SegmentLease) {
        guard let number = jobOfSegment[lease.segment] else { return }
        jobs[number]?.giveBack(lease)
    }

    mutating func postpone(_ lease: SegmentLease, until time: Timestamp) {
        guard let number = jobOfSegment[lease.segment] else { return }
        jobs[number]?.postpone(lease, until: time)
    }

    mutating func rescue(_ policy: RescuePolicy, now: Timestamp) -> RescueReport {
        var total = RescueReport()
        guard startedAt.duration(to: now) >= policy.minimumServerAge else { return total }
        for number in open {
            let firstSegment = lastSegment + 1
            var segment = lastSegment
            let report = jobs[number]?.rescue(
                maximumAttempts: policy.maximumAttempts, wait: policy.wait(after:),
                segmentID: {
                    segment += 1
                    return segment
                }, now: now)
            lastSegment = segment
            for id in firstSegment..<segment + 1 { jobOfSegment[id] = number }
            total.rescued += report?.rescued ?? 0
            total.split += report?.split ?? 0
            total.failedInputs += report?.failedInputs ?? 0
            noteState(of: number)
        }
        return total
    }
}

extension RescuePolicy {
    /// Doubles with each attempt, drawn between half of that and the whole.
    func wait(after attempt: Int) -> Duration {
        let longest = min(backoff.upperBound, backoff.lowerBound * (1 << min(30, max(0, attempt - 1))))
        return max(backoff.lowerBound, longest * Double.random(in: 0.5...1))
    }
}
