import Embeddings
package import Postgres

/// Jobs in PostgreSQL, as their senders see them. Every statement stands alone or in one transaction that is sent whole,
/// and nothing outlives it in the session, so a pooler between us and the server may lend sessions by the transaction.
///
/// Locks are taken in one order by everybody: segments (by id), owners, jobs. So nobody here locks a segment or an owner
/// while he holds a job that workers may hold too, one that is queued, running or paused.
package struct PostgresJobStore: JobStore {
    let pool: PostgresPool
    let wakeUps = WakeUps()

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Runs work that bears being done twice; it is done again, a few times at most, where the server undid it for the
    /// sake of another transaction.
    func run<Result>(
        _ work: () async throws(PostgresError) -> Result
    ) async throws(StorageError) -> Result {
        var attemptsLeft = 3
        while true {
            attemptsLeft -= 1
            do throws(PostgresError) {
                return try await work()
            } catch {
                // serialization_failure, deadlock_detected
                guard error.code == "40001" || error.code == "40P01", attemptsLeft > 0 else {
                    throw StorageError(error)
                }
            }
        }
    }

    /// Runs the statements in one transaction, which the server itself ends when we are no longer there to do it.
    func transaction(
        _ statements: [PostgresStatement], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        try await pool.transaction(statements, timeout: timeout, limits: .followingClient)
    }
}

extension StorageError {
    /// An upload that was taken for abandoned is gone like one that never was.
    static func noUpload(_ job: JobID) -> StorageError {
        .internalFailure(details: "\(job) receives no inputs: unknown, committed, discarded, or swept away")
    }
}
