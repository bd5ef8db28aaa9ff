import Embeddings
import JSON
import Storage
import Testing

/// The stores of one service, and its time.
struct JobStores: Sendable {
    let documents: any DocumentStore
    let jobs: any JobStore
    let segments: any SegmentStore
    /// Makes as much time go by at once.
    let pass: @Sendable (Duration) async throws -> Void
}

/// What every `JobStore` and its `SegmentStore` owe to those who call them. Each claim has stores to itself.
struct JobClaim: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let check: @Sendable (JobStores) async throws -> Void

    init(_ name: String, _ check: @escaping @Sendable (JobStores) async throws -> Void) {
        testDescription = name
        self.check = check
    }

    static let all: [JobClaim] =
        submissions + claiming + finishing + leases + rescues + versions + commands + deduplication + listings
        + housekeeping
}

/// Makes what the claims need.
extension JobStores {
    static let owner = JobOwner("owner")

    func specification(
        owner: JobOwner = owner, collection: DocumentCollection? = nil, source: JobSource = .http, priority: Int = 0,
        key: String? = nil, fingerprint: UInt8 = 1
    ) -> JobSpecification {
        JobSpecification(
            source: source, owner: owner, collection: collection, model: Sample.model(fingerprint: fingerprint),
            priority: priority, idempotencyKey: key)
    }

    /// A job that is queued. Each chunk is appended by itself, and so is a segment at the least.
    @discardableResult
    func submit(_ chunks: [[JobInput]], as specification: JobSpecification) async throws -> Job {
        let id = try await draft(chunks, as: specification)
        let hash = specification.idempotencyKey.map { _ in RequestHash(bytes: Array(repeating: 1, count: 32)) }
        let submission = try await jobs.commit(id, hash: hash)
        guard case .accepted(let job) = submission else { throw ContractBroken("\(submission)") }
        return job
    }

    @discardableResult
    func submit(_ chunks: [JobInput]..., collection: DocumentCollection? = nil) async throws -> Job {
        try await submit(chunks, as: specification(collection: collection))
    }

    /// A job that is still received.
    func draft(_ chunks: [[JobInput]], as specification: JobSpecification) async throws -> JobID {
        let id = try await jobs.beginJob(specification)
        var count = 0
        for chunk in chunks {
            try await jobs.append(chunk, at: count, to: id)
            count += chunk.count
        }
        return id
    }

    func claim(_ count: Int = 1, lease: Duration = .seconds(30), fingerprint: UInt8 = 1) async throws -> [LeasedSegment]
    {
        try await segments.claimSegments(
            SegmentClaim(
                worker: "worker", fingerprint: Sample.model(fingerprint: fingerprint).fingerprint, maximumCount: count,
                leaseDuration: lease))
    }

    func claimOne(lease: Duration = .seconds(30)) async throws -> LeasedSegment {
        let claimed = try await claim(lease: lease)
        guard let segment = claimed.first, claimed.count == 1 else {
            throw ContractBroken("\(claimed.count) segments were claimed")
        }
        return segment
    }

    /// Does what a worker does with a segment.
    @discardableResult
    func finish(_ segment: LeasedSegment) async throws -> SegmentFinish {
        try await segments.finish(segment, with: Work.outcomes(of: try await segments.load(segment)))
    }

    /// Works until nothing is left.
    func workAll(fingerprint: UInt8 = 1) async throws {
        while true {
            let claimed = try await claim(8, fingerprint: fingerprint)
            guard !claimed.isEmpty else { return }
            for segment in claimed where try await finish(segment) == .leaseLost {
                throw ContractBroken("a fresh lease was lost")
            }
        }
    }

    func rescue(after maximumAttempts: Int = 3, backoff: ClosedRange<Duration> = .zero ... .zero) async throws
        -> RescueReport
    {
        try await segments.rescue(
            RescuePolicy(maximumAttempts: maximumAttempts, backoff: backoff, minimumServerAge: .zero))
    }

    func job(_ id: JobID) async throws -> Job {
        guard let job = try await jobs.job(id) else { throw ContractBroken("\(id) is unknown") }
        return job
    }

    func results(_ id: JobID) async throws -> [JobResult] {
        try await jobs.results(of: id, after: nil, limit: 1_000)
    }

    /// Housekeeping until it has nothing more to do.
    func maintainAll(uploads: Duration = .seconds(3_600), ended: Duration = .seconds(604_800)) async throws
        -> JobMaintenance
    {
        var total = JobMaintenance()
        for _ in 0..<100 {
            let step = try await jobs.maintain(JobRetention(abandonedUploads: uploads, endedJobs: ended))
            total.sweptUploads += step.sweptUploads
            total.droppedJobs += step.droppedJobs
            if !step.hasMore { return total }
        }
        throw ContractBroken("housekeeping has no end")
    }
}

/// Texts, and what a worker makes of them.
enum Work {
    static func input(_ id: String, _ text: String, _ metadata: String = "{}") throws -> JobInput {
        let draft = try Sample.draft(id, text, metadata)
        return JobInput(id: id, content: .success(JobInput.Content(text: text, metadata: draft.metadata)))
    }

    static let invalidLine = ItemError(code: "invalid_line", message: "no text")

    static func invalid(_ id: String) -> JobInput {
        JobInput(id: id, content: .failure(invalidLine))
    }

    /// `text 0` with the id `0`, and so on.
    static func inputs(_ indexes: Range<Int>) throws -> [JobInput] {
        try indexes.map { try input("\($0)", "text \($0)") }
    }

    static let failure = ItemError(code: "poison", message: "no vector for this text")

    /// The same for the same text, and kept exactly by half precision.
    static func embedding(of text: String) -> Embedding {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let values: [Float] = [20, 28, 36].map { (shift: UInt64) -> Float in
            let byte = UInt8(truncatingIfNeeded: hash >> shift)
            return Float(Int8(bitPattern: byte)) / 128
        }
        return Sample.embedding(
            [1] + values, tokenCount: text.utf8.count, isTruncated: text.hasPrefix("long"))
    }

    /// As a worker ends them: known vectors are taken, texts that begin with `poison` fail.
    static func outcomes(of inputs: [SegmentInput]) -> [InputOutcome] {
        inputs.map { input in
            switch input.known {
            case .stored(let embedding): InputOutcome(index: input.index, kind: .deduplicated(embedding))
            case .sameJob(let index): InputOutcome(index: input.index, kind: .sameAs(index: index))
            case nil where input.text.hasPrefix("poison"): InputOutcome(index: input.index, kind: .failed(failure))
            case nil: InputOutcome(index: input.index, kind: .embedded(embedding(of: input.text)))
            }
        }
    }

    static func result(_ index: Int, _ text: String, id: String? = nil) -> JobResult {
        JobResult(index: index, id: id ?? "\(index)", outcome: .success(embedding(of: text)))
    }

    static func failed(_ index: Int, _ error: ItemError, id: String? = nil) -> JobResult {
        JobResult(index: index, id: id ?? "\(index)", outcome: .failure(error))
    }
}

extension JobResult {
    /// The error's code; nil where there is a vector.
    var errorCode: String? {
        if case .failure(let error) = outcome { error.code } else { nil }
    }
}

/// Everything but what changes from one look to the next.
extension Job {
    var settled: Job {
        var job = self
        job.inputsPerSecond = nil
        return job
    }
}
