import Foundation
import Glibc
import JSON
import Postgres
import Testing

/// `ovenbird serve` and three `ovenbird worker` processes that are hurt while they work. The long version, with more faults
/// and a proxy that strikes in the middle of a transaction, is Tests/Acceptance/job_crashes.py.
@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct CrashTests {
    static let leaseSeconds = 2

    @Test(.timeLimit(.minutes(4)))
    func hurtWorkersLoseNothingAndDoubleNothing() async throws {
        let model = try #require(
            ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"], "OVENBIRD_TEST_MODEL names no folder")
        try await TestDatabase.with { database in
            let scene = try Scene(database: database, model: model)
            try await scene.awaitServer()
            let connection = try await database.connect()

            let known = [
                KnownJob("loaf", count: 2_000, collection: nil), KnownJob("crumb", count: 2_000, collection: "crumbs"),
            ]
            #expect(try scene.send("PUT", "/v1/collections/crumbs").status == 201)
            var jobs: [String] = []
            for job in known { jobs.append(try scene.submit(job)) }

            let seed = UInt64.random(in: 0 ... .max)
            let (kills, cuts, zombies) = try await scene.hurt(with: seed, on: connection)
            #expect(kills >= 3 && cuts >= 3 && zombies >= 1, "seed \(seed)")
            try await scene.awaitEnd(of: jobs, on: connection)
            for (job, id) in zip(known, jobs) {
                try await job.check(id, on: connection)
                try scene.compare(try await job.sample(40, of: id, on: connection))
            }
            for worker in scene.workers { #expect(worker.isRunning, "\(worker.logTail)") }
            await connection.close()
        }
    }
}

/// The processes of one test.
private final class Scene {
    private let url: String
    private let model: String
    private let port: Int
    private let server: ChildProcess
    private(set) var workers: [ChildProcess] = []

    struct TookTooLong: Error, CustomStringConvertible {
        let description: String
    }

    init(database: TestDatabase, model: String) throws {
        url = database.url
        self.model = model
        port = try LoopbackRequest.freePort()
        server = try ChildProcess([
            "serve", "--model", model, "--database-url", url, "--database-connections", "3", "--migrate",
            "--job-workers", "0", "--threads", "1", "--port", "\(port)",
        ])
    }

    private func newWorker() throws -> ChildProcess {
        try ChildProcess([
            "worker", "--model", model, "--database-url", url, "--database-connections", "3",
            "--job-lease", "\(CrashTests.leaseSeconds)", "--job-poll", "100", "--threads", "1",
        ])
    }

    /// Also begins the workers, whose tables are there then.
    func awaitServer() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            // Not listening yet.
            if let answer = try? send("GET", "/readyz"), answer.status == 200 { break }
            guard server.isRunning, ContinuousClock.now < deadline else {
                throw TookTooLong(description: "serve is not ready: \(server.logTail)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        for _ in 0..<3 { workers.append(try newWorker()) }
    }

    func send(
        _ method: String, _ path: String, body: String = "", type: String = "application/json"
    ) throws -> LoopbackRequest.Answer {
        try LoopbackRequest.send(method, path, body: body, type: type, port: port)
    }

    func submit(_ job: KnownJob) throws -> String {
        let path = "/v1/jobs" + (job.collection.map { "?collection=\($0)" } ?? "")
        let answer = try send("POST", path, body: job.body, type: "application/x-ndjson")
        #expect(answer.status == 202)
        return try #require(answer.json["id"]?.string)
    }

    /// Kills workers and cuts connections at random moments of the work, then stops a worker until others have done what
    /// it held. Answers how often each happened.
    func hurt(with seed: UInt64, on connection: PostgresConnection) async throws -> (Int, Int, Int) {
        var chance = SeededGenerator(state: seed)
        var (kills, cuts) = (0, 0)
        let deadline = ContinuousClock.now + .seconds(60)
        while kills < 4 || cuts < 4, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...600, using: &chance)))
            let held = try await leases(on: connection)
            guard !held.isEmpty else { continue }
            if kills <= cuts {
                // One that holds a segment.
                guard let place = workers.indices.shuffled(using: &chance).first(where: { self.holds($0, of: held) })
                else { continue }
                workers[place].killNow()
                workers[place] = try newWorker()
                kills += 1
            } else {
                let backends = try await connection.query(
                    """
                    SELECT pg_terminate_backend(pid) FROM (
                        SELECT pid FROM pg_stat_activity
                        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
                        ORDER BY (state = 'active') DESC, random() LIMIT 2) AS victims
                    """)
                cuts += backends.isEmpty ? 0 : 1
            }
        }
        return (kills, cuts, try await stopOne(on: connection))
    }

    /// Stops a worker in the middle of a segment, and lets it go on when others have finished that. Answers how many
    /// segments it held.
    private func stopOne(on connection: PostgresConnection) async throws -> Int {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
            let before = try await leases(on: connection)
            guard let place = workers.indices.first(where: { self.holds($0, of: before) }) else { continue }
            let worker = workers[place]
            worker.send(SIGSTOP)
            defer { worker.send(SIGCONT) }
            // Only now is it certain what it holds.
            let mine = try await leases(on: connection).filter { $0.worker.names(worker) }.map(\.segment)
            guard !mine.isEmpty else { continue }
            func done() async throws -> [String] {
                try await connection.query(
                    """
                    SELECT (id, attempt, finished_at, xmin)::text FROM ovenbird.job_segments
                    WHERE id = ANY (\(mine)) AND state = 'done' ORDER BY id
                    """
                ).map { try $0.decode(0) }
            }
            while try await done().count < mine.count {
                guard ContinuousClock.now < deadline else {
                    throw TookTooLong(description: "nobody took over segments \(mine): \(workers.map(\.logTail))")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
            let finished = try await done()
            worker.send(SIGCONT)
            // What it had begun it tries to end now, and must not.
            try await Task.sleep(for: .seconds(1))
            #expect(try await done() == finished)
            return mine.count
        }
        return 0
    }

    private struct Lease {
        let segment: Int
        let worker: String
    }

    private func leases(on connection: PostgresConnection) async throws -> [Lease] {
        try await connection.query("SELECT id, worker FROM ovenbird.job_segments WHERE state = 'running'").map { row in
            Lease(segment: try row.decode(0), worker: try row.decode(1))
        }
    }

    private func holds(_ place: Int, of leases: [Lease]) -> Bool {
        leases.contains { $0.worker.names(workers[place]) }
    }

    func awaitEnd(of jobs: [String], on connection: PostgresConnection) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while true {
            let rows = try await connection.query(
                "SELECT count(*) FROM ovenbird.jobs WHERE public_id = ANY (\(jobs)) AND ended_at IS NULL")
            if try rows.first?.decode(0, as: Int.self) == 0 { return }
            guard ContinuousClock.now < deadline else {
                throw TookTooLong(description: "the jobs did not end: \(workers.map(\.logTail))")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Stored vectors are those of their texts: embedded anew they are the same, but for halves' rounding.
    func compare(_ sample: [(text: String, vector: [Double])]) throws {
        let texts = sample.map { "\"\($0.text)\"" }.joined(separator: ",")
        let answer = try send("POST", "/v1/embeddings", body: "{\"input\":[\(texts)]}")
        let data = try #require(answer.json["data"]?.array)
        #expect(!sample.isEmpty && data.count == sample.count)
        for (row, (text, stored)) in zip(data, sample) {
            let fresh = (row.object?["embedding"]?.array ?? []).compactMap { $0.number?.value }
            try #require(fresh.count == stored.count)
            let product = zip(fresh, stored).map { $0 * $1 }.reduce(0, +)
            let lengths = [fresh, stored].map { vector in vector.map { $0 * $0 }.reduce(0, +).squareRoot() }
            #expect(product / (lengths[0] * lengths[1]) >= 0.9999, "\(text)")
        }
    }
}

extension String {
    /// Whether the name that a worker gives itself is that of this process.
    fileprivate func names(_ process: ChildProcess) -> Bool {
        split { !$0.isNumber }.contains("\(process.identifier)")
    }
}

/// SplitMix64.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
