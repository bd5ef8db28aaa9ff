import Embeddings
import Postgres
import Storage
import Synchronization
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresJobRaceTests {
    /// Four workers, and senders who pause, resume, try again, cancel and delete; nobody waits in a circle, and what is
    /// counted is what is there.
    @Test func commandsAndWorkersDoNotStopEachOther() async throws {
        try await TestDatabase.withJobStore { store, documents, pool in
            let collection = try await Sample.collection(in: documents)
            let segments = PostgresSegmentStore(pool: pool)
            var made: [JobID] = []
            for number in 0..<8 {
                let id = try await store.beginJob(
                    JobSample.specification(
                        collection: number % 2 == 0 ? collection : nil, owner: "owner \(number % 3)"))
                for start in stride(from: 0, to: 300, by: 10) {
                    let inputs = (start..<start + 10).map { JobSample.input("\($0)", "text \($0) of \(number)") }
                    try await store.append(inputs, at: start, to: id)
                }
                guard case .accepted = try await store.commit(id, hash: nil) else {
                    throw ContractBroken("not accepted")
                }
                made.append(id)
            }
            let jobs = made
            let before: Int = try await pool.value(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            let end = End()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        while !end.hasCome.load(ordering: .relaxed) {
                            try await Self.work(worker, segments)
                        }
                    }
                }
                for (number, job) in jobs.enumerated() {
                    group.addTask {
                        for command in [JobCommand.pause, .resume, .retryFailed, .pause, .pause, .resume, .retryFailed]
                        {
                            guard case .unknown = try await store.apply(command, to: job) else { continue }
                            throw ContractBroken("\(job) is unknown")
                        }
                        if number == 6 { _ = try await store.apply(.cancel, to: job) }
                        if number == 7 { _ = try await store.deleteJob(job) }
                    }
                }
                group.addTask {
                    let retention = JobRetention(abandonedUploads: .seconds(60), endedJobs: .seconds(60))
                    while true {
                        _ = try await store.maintain(retention)
                        let open = try await store.jobs(JobQuery(states: [.queued, .running, .paused])).jobs
                        if open.isEmpty { break }
                        // What failed in one round is tried again until all of it is done.
                        for job in jobs { _ = try await store.apply(.resume, to: job) }
                    }
                    end.hasCome.store(true, ordering: .relaxed)
                }
                try await group.waitForAll()
            }
            let after: Int = try await pool.value(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            #expect(after == before)
            for (number, id) in jobs.enumerated() {
                guard number != 7 else {
                    #expect(try await store.job(id) == nil)
                    continue
                }
                let job = try #require(try await store.job(id))
                let results = try await store.results(of: id, after: nil, limit: 1_000)
                #expect(results.map(\.index) == Array(0..<300))
                guard number != 6 || job.state == .completed else { continue }
                #expect(job.counts.succeeded + job.counts.failed == 300 && job.state == .completed)
                let failures = try await store.failures(of: id, after: nil, limit: 1_000)
                #expect(failures.count == job.counts.failed)
            }
        }
    }

    private final class End: Sendable {
        let hasCome = Atomic(false)
    }

    /// Every tenth text fails.
    private static func work(_ worker: Int, _ segments: PostgresSegmentStore) async throws {
        let claim = SegmentClaim(
            worker: "\(worker)", fingerprint: Sample.model().fingerprint, maximumCount: 2, leaseDuration: .seconds(60))
        for segment in try await segments.claimSegments(claim) {
            let outcomes = try await segments.load(segment).map { input in
                InputOutcome(
                    index: input.index,
                    kind: input.index % 10 == 3
                        ? .failed(ItemError(code: "poison", message: "every tenth"))
                        : .embedded(Sample.embedding([1, Float(input.index % 7), 0, 0])))
            }
            _ = try await segments.finish(segment, with: outcomes)
        }
    }
}
