import Embeddings
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresJobHousekeepingTests {
    private let anHour = JobRetention(abandonedUploads: .seconds(3_600), endedJobs: .seconds(3_600))

    @Test func whatIsDeletedGoesInBoundedSteps() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let job = try await JobSample.job(of: 12_000, in: store)
            let kept = try await JobSample.job(of: 300, in: store)
            try await JobSample.finish(of: job, failing: [1, 2, 3], on: pool)
            func rowCount() async throws -> Int {
                try await pool.value(
                    """
                    SELECT (SELECT count(*) FROM ovenbird.job_inputs) + (SELECT count(*) FROM ovenbird.job_segments)
                        + (SELECT count(*) FROM ovenbird.job_results) + (SELECT count(*) FROM ovenbird.job_errors)
                    """)
            }
            #expect(try await store.maintain(anHour) == JobMaintenance())
            #expect(try await store.deleteJob(job))
            #expect(try await store.deleteJob(job) == false)
            #expect(try await store.job(job) == nil)
            #expect(try await store.results(of: job, after: nil, limit: 10).isEmpty)
            #expect(try await store.apply(.cancel, to: job) == .unknown)
            var before = try await rowCount()
            while try await store.maintain(anHour).hasMore {
                let after = try await rowCount()
                #expect(before > after && before - after <= 5_000)
                before = after
            }
            #expect(try await rowCount() == 302)
            #expect(try await pool.value("SELECT array_agg(public_id) FROM ovenbird.jobs") == [kept.description])
            #expect(try await store.maintain(anHour) == JobMaintenance())
        }
    }

    @Test func dataBeyondItsRetentionGoesAndTheJobStays() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let job = try await JobSample.job(of: 10, in: store)
            let waiting = try await JobSample.job(of: 10, in: store)
            try await JobSample.finish(of: job, failing: [1], on: pool)
            let report = try await store.maintain(JobRetention(abandonedUploads: .seconds(3_600), endedJobs: .zero))
            #expect(report.droppedJobs == 1 && report.sweptUploads == 0 && !report.hasMore)
            let found = try #require(try await store.job(job))
            #expect(found.dataDroppedAt != nil && found.state == .completed && found.counts.succeeded == 9)
            #expect(try await store.results(of: job, after: nil, limit: 10).isEmpty)
            #expect(try await store.failures(of: job, after: nil, limit: 10).isEmpty)
            #expect(try await store.apply(.retryFailed, to: job) == .refused(.completed))
            #expect(try await pool.value("SELECT count(*) FROM ovenbird.job_inputs") == 10)
            #expect(try await store.job(waiting)?.dataDroppedAt == nil)
            #expect(try await store.deleteJob(job))
            _ = try await store.maintain(anHour)
            #expect(try await pool.value("SELECT count(*) FROM ovenbird.jobs") == 1)
        }
    }

    @Test func uploadsThatRestAreSwept() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let abandoned = try await store.beginJob(JobSample.specification())
            try await store.append([JobSample.input("a", "text")], at: 0, to: abandoned)
            let discarded = try await store.beginJob(JobSample.specification())
            try await store.append([JobSample.input("a", "text")], at: 0, to: discarded)
            try await store.discard(discarded)
            #expect(try await store.maintain(anHour).sweptUploads == 0)
            let none = JobRetention(abandonedUploads: .zero, endedJobs: .seconds(3_600))
            #expect(try await store.maintain(none).sweptUploads == 1)
            #expect(try await pool.value("SELECT count(*) FROM ovenbird.jobs") == 0)
            #expect(try await pool.value("SELECT count(*) FROM ovenbird.job_inputs") == 0)
            await #expect(throws: StorageError.self) {
                try await store.append([JobSample.input("b", "text")], at: 1, to: abandoned)
            }
            await #expect(throws: StorageError.self) { try await store.commit(abandoned, hash: nil) }
        }
    }

    @Test func whatFailedIsTriedAgainAndNothingElse() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let job = try await store.beginJob(JobSample.specification())
            let inputs = (0..<600).map { $0 == 5 ? JobSample.invalid("5") : JobSample.input("\($0)", "text \($0)") }
            try await store.append(inputs, at: 0, to: job)
            _ = try await store.commit(job, hash: nil)
            #expect(try await store.apply(.retryFailed, to: job) == .refused(.queued))
            try await JobSample.finish(of: job, failing: [7, 300, 301], on: pool)
            #expect(try await store.job(job)?.counts == JobCounts(total: 600, succeeded: 596, failed: 4))

            guard case .done(let retried) = try await store.apply(.retryFailed, to: job) else {
                throw ContractBroken("not retried")
            }
            #expect(retried.state == .queued && retried.endedAt == nil)
            #expect(retried.counts == JobCounts(total: 600, succeeded: 596, failed: 1))
            #expect(try await store.failures(of: job, after: nil, limit: 10).map(\.index) == [5])
            #expect(
                try await pool.query(
                    "SELECT pending::text FROM ovenbird.job_segments WHERE state = 'available' ORDER BY first_seq"
                ).map { try $0.decode(0) } == ["{7}", "{300,301}"])
            // What is done meanwhile is shown meanwhile.
            let shown = try await store.results(of: job, after: nil, limit: 1_000).map(\.index)
            #expect(shown == (0..<600).filter { ![7, 300, 301].contains($0) })

            try await JobSample.finish(of: job, failing: [301], on: pool)
            #expect(try await store.job(job)?.counts == JobCounts(total: 600, succeeded: 598, failed: 2))
            #expect(try await store.failures(of: job, after: nil, limit: 10).map(\.index) == [5, 301])
            #expect(try await store.results(of: job, after: nil, limit: 1_000).count == 600)
        }
    }

    @Test func aRestGivesNobodyPrecedence() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            func served(_ owner: String) async throws -> Int {
                try await pool.value("SELECT served_bytes FROM ovenbird.job_owners WHERE owner = \(owner)")
            }
            _ = try await JobSample.job(of: 1, in: store, JobSample.specification(owner: "busy"))
            _ = try await JobSample.job(of: 1, in: store, JobSample.specification(owner: "busier"))
            _ = try await pool.query(
                "UPDATE ovenbird.job_owners SET served_bytes = CASE owner WHEN 'busy' THEN 1000 ELSE 2000 END")
            let late = try await JobSample.job(of: 1, in: store, JobSample.specification(owner: "late"))
            #expect(try await served("late") == 1_000)
            // Who is at work keeps what he has had.
            _ = try await pool.query("UPDATE ovenbird.job_owners SET served_bytes = 5000 WHERE owner LIKE 'bus%'")
            _ = try await JobSample.job(of: 1, in: store, JobSample.specification(owner: "late"))
            #expect(try await served("late") == 1_000)
            _ = try await pool.query("UPDATE ovenbird.jobs SET state = 'paused' WHERE owner = 'late'")
            _ = try await store.apply(.resume, to: late)
            #expect(try await served("late") == 5_000)
        }
    }

    @Test(.timeLimit(.minutes(1))) func commitsWakeWhoListensOnceInAWhile() async throws {
        try await TestDatabase.with { database in
            try await database.withMigratedPool { pool in
                let store = PostgresJobStore(pool: pool)
                let (events, continuation) = AsyncStream.makeStream(of: PostgresListener.Event.self)
                let listener = PostgresListener(
                    configuration: database.directConfiguration, channel: "ovenbird_jobs"
                ) { continuation.yield($0) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await listener.run() }
                    var iterator = events.makeAsyncIterator()
                    #expect(await iterator.next() == .connected)
                    let start = ContinuousClock.now
                    for _ in 0..<10 { _ = try await JobSample.job(of: 1, in: store) }
                    let intervals = Int((ContinuousClock.now - start) / .milliseconds(100))
                    _ = try await pool.query("SELECT pg_notify('ovenbird_jobs', 'end')")
                    var heard = 0
                    while let event = await iterator.next(), event != .notified(payload: "end") { heard += 1 }
                    #expect((1...1 + intervals).contains(heard))
                    group.cancelAll()
                }
            }
        }
    }
}
