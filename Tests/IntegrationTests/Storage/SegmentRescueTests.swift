import Embeddings
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct SegmentRescueTests {
    @Test func onlyExpiredLeasesOfAnOldEnoughServerAreTaken() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(2, segmentSize: 1)
            let segments = try await fixture.claim(2, for: .zero)
            #expect(try await fixture.rescue(serverAge: .seconds(1_000_000)) == RescueReport())
            // An expired lease that nobody took is as good as any.
            #expect(try await fixture.store.extend([segments[0].lease], by: .seconds(30)).isEmpty)
            #expect(try await fixture.rescue() == RescueReport(rescued: 1))
            #expect(
                try await fixture.store.extend(segments.map(\.lease), by: .seconds(30)) == [segments[1].lease])
            #expect(try await fixture.finish(segments[0]) == .finished)
        }
    }

    @Test func backoffDoublesWithinItsBounds() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(1)
            for attempt in 1...6 {
                #expect(try await fixture.claim(for: .zero).map(\.attempt) == [attempt])
                let report = try await fixture.rescue(attempts: 99, backoff: .seconds(100) ... .seconds(1_000))
                #expect(report == RescueReport(rescued: 1))
                let seconds = try await fixture.number(
                    "SELECT extract(epoch FROM run_at - clock_timestamp())::bigint FROM ovenbird.job_segments")
                let middle = 100.0 * Double(1 << (attempt - 1))
                #expect(Double(seconds) >= max(100, min(1_000, middle * 0.5)) - 2)
                #expect(Double(seconds) <= min(1_000, middle * 1.5) + 1)
                #expect(try await fixture.claim().isEmpty)
                _ = try await fixture.pool.query("UPDATE ovenbird.job_segments SET run_at = now()")
            }
        }
    }

    @Test func attemptsUsedUpSplitDownToTheSingleInput() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job(7)
            // Whoever takes a segment with input 4 dies.
            var rounds = 0
            while try await fixture.counts(of: job).state != "completed" {
                rounds += 1
                try #require(rounds < 100)
                for segment in try await fixture.claim(9) {
                    let inputs = try await fixture.store.load(segment)
                    if !inputs.contains(where: { $0.index == 4 }) {
                        #expect(try await fixture.finish(segment) == .finished)
                    }
                }
                _ = try await fixture.pool.query(
                    "UPDATE ovenbird.job_segments SET lease_expires_at = '-infinity' WHERE state = 'running'")
                _ = try await fixture.rescue(attempts: 2)
            }
            #expect(
                try await fixture.counts(of: job) == .init(state: "completed", succeeded: 6, failed: 1, tokens: 18))
            let errors = try await fixture.pool.query("SELECT seq, code FROM ovenbird.job_errors")
            #expect(try errors.map { try $0.decode(0, as: Int.self) } == [4])
            #expect(try errors.first?.decode(1) == "worker_lost")
            #expect(try await fixture.text(of: "d4") == nil)
            #expect(try await fixture.text(of: "d3") == "text 3")
        }
    }

    @Test func whatIsPendingIsSplit() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(10)
            _ = try await fixture.pool.query("UPDATE ovenbird.job_segments SET pending = '{1,5,6}'")
            #expect(try await fixture.store.load(try await fixture.claimOne(for: .zero)).map(\.index) == [1, 5, 6])
            #expect(try await fixture.rescue(attempts: 1) == RescueReport(split: 1))
            let halves = try await fixture.claim(2)
            #expect(halves.map(\.attempt) == [1, 1])
            #expect(try await fixture.store.load(halves[0]).map(\.index) == [1])
            #expect(try await fixture.store.load(halves[1]).map(\.index) == [5, 6])
            let ranges = try await fixture.pool.query(
                "SELECT first_seq, last_seq, byte_count FROM ovenbird.job_segments ORDER BY first_seq")
            #expect(try ranges.map { try [$0.decode(0), $0.decode(1), $0.decode(2)] } == [[0, 4, 6], [5, 9, 12]])
        }
    }

    @Test func givenBackIsAsIfNeverTakenAndPostponedIsNot() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(1)
            try await fixture.store.giveBack([try await fixture.claimOne().lease])
            let again = try await fixture.claimOne()
            #expect(again.attempt == 1)
            try await fixture.store.postpone(again.lease, for: .milliseconds(300), because: "a\0b")
            #expect(try await fixture.claim().isEmpty)
            let reasons = try await fixture.pool.query("SELECT last_error FROM ovenbird.job_segments")
            #expect(try reasons.first?.decode(0) == "ab")
            try await Task.sleep(for: .milliseconds(400))
            #expect(try await fixture.claimOne().attempt == 2)
        }
    }
}
