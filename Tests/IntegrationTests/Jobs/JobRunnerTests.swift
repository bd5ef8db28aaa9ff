import Embeddings
import Jobs
import Logging
import Metrics
import Postgres
import ServiceLifecycle
import Storage
import Testing

/// Whole jobs: PostgreSQL, the runner, and an embedder that has faults on purpose.
@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct JobRunnerTests {
    @Test func onePoisonTextOfFiveThousandCostsOneErrorRowAndNoNeighbour() async throws {
        let texts = (0..<5_000).map { "text number \($0)" }
        try await TestDatabase.withStore { _, pool in
            let embedder = FaultyEmbedder { $0.contains(texts[4_321]) ? .vectorNotFinite(index: 0) : nil }
            let jobs = PostgresJobStore(pool: pool)
            let id = try await Self.submit(texts, to: jobs, for: embedder)
            try await Self.run(embedder, on: pool, until: { try await Self.hasEnded(id, in: jobs) })

            let job = try #require(await jobs.job(id))
            #expect(job.state == .completed)
            #expect(job.counts == JobCounts(total: 5_000, succeeded: 4_999, failed: 1))
            let failures = try await jobs.failures(of: id, after: nil, limit: 10)
            #expect(failures.map(\.index) == [4_321])
            #expect(failures.map(\.error.code) == ["vector_not_finite"])
            try await Self.expectVectors(of: texts, except: 4_321, in: id, of: jobs)
            let attempts = try await pool.query("SELECT max(attempt) FROM ovenbird.job_segments")
            #expect(try attempts.first?.decode(0, as: Int32?.self) == 1)
        }
    }

    @Test func aStoppedRunnerGivesItsSegmentsBackAndAnotherGoesOn() async throws {
        let texts = (0..<1_000).map { "text number \($0)" }
        try await TestDatabase.withStore { _, pool in
            let stuck = FaultyEmbedder { _ in .overloaded(retryAfter: .seconds(60)) }
            let jobs = PostgresJobStore(pool: pool)
            let id = try await Self.submit(texts, to: jobs, for: stuck)
            try await Self.run(stuck, on: pool) { try await Self.count("state = 'running'", in: pool) == 2 }
            #expect(try await Self.count("state = 'available' AND attempt = 0", in: pool) == 4)

            let embedder = FaultyEmbedder { _ in nil }
            try await Self.run(embedder, on: pool) { try await Self.hasEnded(id, in: jobs) }
            try await Self.expectVectors(of: texts, except: nil, in: id, of: jobs)
        }
    }

    // MARK: -

    private static func submit(
        _ texts: [String], to jobs: PostgresJobStore, for embedder: FaultyEmbedder
    ) async throws -> JobID {
        let id = try await jobs.beginJob(
            JobSpecification(source: .http, owner: .anonymous, collection: nil, model: embedder.model))
        for start in stride(from: 0, to: texts.count, by: 1_000) {
            let inputs = texts[start..<min(start + 1_000, texts.count)].enumerated().map {
                JobInput(id: "\(start + $0)", content: .success(JobInput.Content(text: $1)))
            }
            try await jobs.append(inputs, at: start, to: id)
        }
        _ = try await jobs.commit(id, hash: nil)
        return id
    }

    /// Runs a job runner until the condition holds, then stops it as SIGTERM would.
    private static func run(
        _ embedder: FaultyEmbedder, on pool: PostgresPool, until condition: @escaping @Sendable () async throws -> Bool
    ) async throws {
        var configuration = JobRunnerConfiguration()
        configuration.pollInterval = .milliseconds(100)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let runner = JobRunner(
            configuration: configuration, store: PostgresSegmentStore(pool: pool), embedder: embedder, bell: JobBell(),
            metrics: JobMetrics(factory: NOOPMetricsHandler.instance), workerName: "test", logger: quiet)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [runner], logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let deadline = ContinuousClock.now + .seconds(60)
            var isReached = false
            while !isReached, .now < deadline {
                try await Task.sleep(for: .milliseconds(20))
                isReached = try await condition()
            }
            #expect(isReached)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    private static func hasEnded(_ id: JobID, in jobs: PostgresJobStore) async throws -> Bool {
        try await jobs.job(id)?.state.hasEnded ?? false
    }

    private static func count(_ condition: PostgresStatement, in pool: PostgresPool) async throws -> Int {
        let rows = try await pool.query("SELECT count(*) FROM ovenbird.job_segments WHERE \(sql: condition)")
        return try #require(try rows.first?.decode(0, as: Int.self))
    }

    private static func expectVectors(
        of texts: [String], except failed: Int?, in id: JobID, of jobs: PostgresJobStore
    ) async throws {
        var results: [JobResult] = []
        while let page = try? await jobs.results(of: id, after: results.last?.index, limit: 1_000), !page.isEmpty {
            results += page
        }
        #expect(results.map(\.index) == Array(texts.indices))
        let wrong = results.filter { result in
            guard case .success(let embedding) = result.outcome else { return result.index != failed }
            return embedding.vector != FaultyEmbedder.vector(of: texts[result.index])
        }
        #expect(wrong.isEmpty)
    }
}

/// An embedder whose calls fail as a test wants them to.
private struct FaultyEmbedder: Embedder {
    let fault: @Sendable ([String]) -> EmbeddingError?
    let isReady = true
    let model = ModelDescription(
        name: "test/faulty", servedNames: [], dimensions: 3, maximumSequenceLength: 256, vocabularySize: 100,
        precision: .fp32, fingerprint: ModelFingerprint(bytes: Array(repeating: 9, count: 32)))

    init(fault: @escaping @Sendable ([String]) -> EmbeddingError?) {
        self.fault = fault
    }

    /// Values that half precision holds exactly.
    static func vector(of text: String) -> EmbeddingVector {
        let sum = text.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) % 1_000_003 }
        return EmbeddingVector([1, Float(sum % 1_024), Float(sum / 1_024)])
    }

    func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        let texts = request.inputs.map { input in
            switch input {
            case .text(let text): text
            case .tokens: ""
            }
        }
        if let error = fault(texts) { throw error }
        return EmbeddingReport(
            results: texts.map {
                .success(Embedding(vector: Self.vector(of: $0), tokenCount: 4, isTruncated: false))
            })
    }
}
