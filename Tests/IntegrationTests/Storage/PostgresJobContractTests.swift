import Embeddings
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresJobContractTests {
    @Test(arguments: JobClaim.all)
    func keepsTheContract(claim: JobClaim) async throws {
        try await TestDatabase.withStore { store, pool in
            let stores = JobStores(
                documents: store, jobs: PostgresJobStore(pool: pool), segments: PostgresSegmentStore(pool: pool),
                pass: { try await pool.passTime($0) })
            try await claim.check(stores)
        }
    }
}

extension PostgresPool {
    /// Moves all that jobs know of the time into the past, so that as much of it has gone by.
    fileprivate func passTime(_ duration: Duration) async throws {
        let columns = [
            "jobs": ["created_at", "touched_at", "queued_at", "started_at", "ended_at"],
            "job_segments": ["run_at", "lease_expires_at", "finished_at"],
        ]
        for (table, columns) in columns {
            var changes: PostgresStatement = ""
            for (place, column) in columns.enumerated() {
                changes = """
                    \(sql: changes)\(sql: place == 0 ? "" : ",")
                    \(identifier: column) = \(identifier: column) - make_interval(secs => \(duration / .seconds(1)))
                    """
            }
            _ = try await query("UPDATE ovenbird.\(identifier: table) SET \(sql: changes)")
        }
    }
}
