import Embeddings
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresSegmentStoreTests {
    @Test func aJobIsCarriedOutSegmentBySegment() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(600)
            #expect(try await fixture.claim(9).map(\.inputCount) == [256, 256, 88])
            #expect(try await fixture.claim().isEmpty)
            #expect(try await fixture.counts(of: job).state == "running")
            _ = try await fixture.pool.query("UPDATE ovenbird.job_segments SET lease_expires_at = '-infinity'")
            _ = try await fixture.rescue()
            for _ in 0..<3 { #expect(try await fixture.finish(try await fixture.claimOne()) == .finished) }
            #expect(
                try await fixture.counts(of: job)
                    == .init(state: "completed", succeeded: 600, failed: 0, tokens: 1_800))
            #expect(try await fixture.documents.documentCount(in: fixture.collection) == 600)
        }
    }

    @Test func loadingASegmentCostsItsInputs() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(20_000)
            // Of tables that hold one job and are known well, a planner likes to read all.
            _ = try await fixture.pool.query("ANALYZE", timeout: .seconds(60))
            let lease = try await fixture.claimOne().lease
            let plan = try await ExecutedPlan(of: PostgresSegmentStore.inputsStatement(of: lease), on: fixture.pool)
            // Its 256 inputs, and the job's segments.
            #expect(plan.touchedRowCount < 400, "\(plan.json)")
        }
    }

    @Test func aZombiesFinishIsRefusedWithoutEffect() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(10)
            let zombie = try await fixture.claimOne(for: .zero)
            let inputs = try await fixture.store.load(zombie)
            #expect(try await fixture.rescue() == RescueReport(rescued: 1))
            #expect(try await fixture.store.extend([zombie.lease], by: .seconds(9)) == [zombie.lease])
            let heir = try await fixture.claimOne()
            #expect(heir.lease.segment == zombie.lease.segment && heir.lease.token > zombie.lease.token)
            let outcomes = inputs.map {
                InputOutcome(index: $0.index, kind: .embedded(Sample.embedding([0, 1, 0, 0])))
            }
            #expect(try await fixture.store.finish(zombie, with: outcomes) == .leaseLost)
            #expect(try await fixture.store.load(zombie).isEmpty)
            try await fixture.store.giveBack([zombie.lease])
            try await fixture.store.postpone(zombie.lease, for: .seconds(60), because: "zombie")
            #expect(try await fixture.documents.documentCount(in: fixture.collection) == 0)
            #expect(try await fixture.finish(heir) == .finished)
            #expect(try await fixture.store.finish(zombie, with: outcomes) == .leaseLost)
            #expect(try await fixture.counts(of: job).succeeded == 10)
        }
    }

    /// As after a commit whose answer was lost.
    @Test(arguments: [true, false])
    func aFinishRepeatedDoublesNothing(inCollection: Bool) async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(10, inCollection: inCollection, segmentSize: 5)
            let segment = try await fixture.claimOne()
            let outcomes = (0..<5).map { index in
                InputOutcome(
                    index: index,
                    kind: index == 3
                        ? .failed(ItemError(code: "no", message: "never\0"))
                        : .embedded(Sample.embedding([1, 0, 0, 0])))
            }
            #expect(try await fixture.store.finish(segment, with: outcomes) == .finished)
            #expect(try await fixture.store.finish(segment, with: outcomes) == .leaseLost)
            #expect(
                try await fixture.counts(of: job) == .init(state: "running", succeeded: 4, failed: 1, tokens: 12))
            #expect(try await fixture.number("SELECT count(*) FROM ovenbird.job_errors") == 1)
            #expect(try await fixture.number("SELECT count(*) FROM ovenbird.job_results") == (inCollection ? 0 : 4))
        }
    }

    @Test func outcomesMustCoverWhatIsPending() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(2)
            let segment = try await fixture.claimOne()
            await #expect(throws: StorageError.self) {
                try await fixture.store.finish(
                    segment, with: [InputOutcome(index: 0, kind: .embedded(Sample.embedding([1, 0, 0, 0])))])
            }
            #expect(try await fixture.documents.documentCount(in: fixture.collection) == 0)
            #expect(try await fixture.counts(of: job).succeeded == 0)
        }
    }

    @Test func concurrentClaimsNeverMeet() async throws {
        try await SegmentFixture.with { fixture in
            for owner in ["a", "b", "c"] { try await fixture.job(50, segmentSize: 1, owner: owner) }
            let leases = try await withThrowingTaskGroup(of: [SegmentLease].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        var leases: [SegmentLease] = []
                        while true {
                            let claimed = try await fixture.claim(3)
                            if claimed.isEmpty { return leases }
                            leases += claimed.map(\.lease)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(leases.count == 150)
            #expect(Set(leases.map(\.segment)).count == 150 && Set(leases.map(\.token)).count == 150)
        }
    }

    @Test func theOwnerServedLeastComesFirst() async throws {
        try await SegmentFixture.with { fixture in
            let big = try await fixture.job(4, segmentSize: 1, owner: "a", byteCount: 100)
            let small = try await fixture.job(8, segmentSize: 1, owner: "b", byteCount: 50)
            // a: 100, b: 50, 100, a (equal, by name): 200, b: 150, 200, …
            let jobs = try await fixture.claim(9).map(\.job)
            #expect(jobs == [big, small, small, big, small, small, big, small, small])
        }
    }

    @Test func whoComesBackFromARestIsNotServedForAllOfIt() async throws {
        try await SegmentFixture.with { fixture in
            _ = try await fixture.pool.query(
                """
                INSERT INTO ovenbird.job_owners VALUES ('steady', 1000000000), ('rested', 0), ('third', 7)
                """)
            let megabyte: Int64 = 1 << 20
            let steady = try await fixture.job(9, segmentSize: 1, owner: "steady", byteCount: megabyte)
            try await fixture.job(30, segmentSize: 1, owner: "rested", byteCount: megabyte)
            try await fixture.job(30, segmentSize: 1, owner: "third", byteCount: megabyte)
            let jobs = try await fixture.claim(19).map(\.job)
            #expect(jobs.contains(steady) && !jobs.prefix(16).contains(steady))
        }
    }

    @Test func ofOneOwnerPriorityThenAgeDecide() async throws {
        try await SegmentFixture.with { fixture in
            let old = try await fixture.job(2, segmentSize: 1)
            let young = try await fixture.job(2, segmentSize: 1)
            let urgent = try await fixture.job(2, segmentSize: 1, priority: 5)
            #expect(try await fixture.claim(6).map(\.job) == [urgent, urgent, old, old, young, young])
        }
    }

    @Test(arguments: ["receiving", "paused", "cancelled", "failed"])
    func onlyActiveJobsAreClaimed(state: String) async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(1)
            _ = try await fixture.pool.query(
                """
                UPDATE ovenbird.jobs SET state = \(state),
                    ended_at = CASE WHEN \(state) IN ('cancelled', 'failed') THEN now() END
                """)
            #expect(try await fixture.claim().isEmpty)
        }
    }

    @Test func anotherModelsJobsAreNotClaimed() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(1)
            let claim = SegmentClaim(
                worker: "w", fingerprint: Sample.model(fingerprint: 9).fingerprint, maximumCount: 1,
                leaseDuration: .seconds(30))
            #expect(try await fixture.store.claimSegments(claim).isEmpty)
        }
    }

    @Test func aCancelledJobsSegmentIsRefused() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(3)
            let segment = try await fixture.claimOne()
            _ = try await fixture.pool.query("UPDATE ovenbird.jobs SET state = 'cancelled', ended_at = now()")
            #expect(try await fixture.store.extend([segment.lease], by: .seconds(9)) == [segment.lease])
            #expect(try await fixture.finish(segment) == .leaseLost)
            #expect(try await fixture.documents.documentCount(in: fixture.collection) == 0)
            // It neither comes back nor costs an input.
            _ = try await fixture.pool.query(
                "UPDATE ovenbird.job_segments SET lease_expires_at = '-infinity', attempt = 9")
            #expect(try await fixture.rescue() == RescueReport(rescued: 1))
            #expect(try await fixture.claim().isEmpty)
        }
    }

    @Test func aMissingWriterCostsNoJob() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(3)
            let segment = try await fixture.claimOne()
            let number = fixture.collection.id
            _ = try await fixture.pool.query("DROP FUNCTION ovenbird.\(identifier: "write_outcomes_\(number)")")
            await #expect(throws: StorageError.self) { try await fixture.finish(segment) }
            #expect(try await fixture.counts(of: job).state == "running")
            _ = try await fixture.pool.query("SELECT ovenbird.create_collection_writer(\(number))")
            #expect(try await fixture.finish(segment) == .finished)
        }
    }

    @Test func aDroppedCollectionFailsItsJob() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(6, segmentSize: 3)
            let segments = try await fixture.claim(2)
            let inputs = try await fixture.store.load(segments[0])
            #expect(try await fixture.documents.dropCollection(named: fixture.collection.name))
            #expect(try await fixture.store.load(segments[0]) == inputs)
            #expect(try await fixture.finish(segments[0]) == .jobFailed)
            #expect(try await fixture.finish(segments[1]) == .leaseLost)
            #expect(try await fixture.counts(of: job).state == "failed")
            let writers: Int64 = try await fixture.pool.value(
                "SELECT count(*) FROM pg_proc WHERE proname LIKE 'write\\_outcomes\\_%'")
            #expect(writers == 0)
            let codes = try await fixture.pool.query("SELECT failure_code FROM ovenbird.jobs")
            #expect(try codes.first?.decode(0) == "collection_not_found")
        }
    }
}
