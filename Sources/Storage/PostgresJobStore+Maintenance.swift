package import Embeddings
import Postgres

extension PostgresJobStore {
    /// Rows that one step takes away at most, and what a job counts for beside its rows.
    private static let maximumRows = 5_000
    private static let rowsPerJob = 50

    package func maintain(_ limits: JobRetention) async throws(StorageError) -> JobMaintenance {
        var report = JobMaintenance()
        report.sweptUploads = try await change(
            """
            UPDATE ovenbird.jobs AS j SET deleted_at = clock_timestamp() WHERE j.id IN (
                SELECT o.id FROM ovenbird.jobs AS o WHERE o.state = 'receiving' AND o.deleted_at IS NULL
                    AND o.touched_at < clock_timestamp() - make_interval(secs => \(limits.abandonedUploads / .seconds(1)))
                ORDER BY o.id LIMIT \(Self.rowsPerJob) FOR UPDATE SKIP LOCKED)
            """)
        report.droppedJobs = try await change(
            """
            UPDATE ovenbird.jobs AS j SET data_dropped_at = clock_timestamp() WHERE j.id IN (
                SELECT o.id FROM ovenbird.jobs AS o
                WHERE o.ended_at < clock_timestamp() - make_interval(secs => \(limits.endedJobs / .seconds(1)))
                    AND o.data_dropped_at IS NULL AND o.deleted_at IS NULL
                ORDER BY o.ended_at LIMIT \(Self.rowsPerJob) FOR UPDATE SKIP LOCKED)
            """)
        report.hasMore = report.sweptUploads == Self.rowsPerJob || report.droppedJobs == Self.rowsPerJob

        var budget = Self.maximumRows
        while let job = try await jobToEmpty() {
            guard budget > 0 else {
                report.hasMore = true
                break
            }
            for statement in Self.deletions(of: job) where budget > 0 {
                budget -= try await change(statement(budget))
            }
            if budget > 0 {
                try await forget(job)
                budget -= Self.rowsPerJob
            }
        }
        return report
    }

    private func jobToEmpty() async throws(StorageError) -> Int64? {
        try await run { () throws(PostgresError) in
            let rows = try await pool.read(
                """
                SELECT id FROM ovenbird.jobs
                WHERE deleted_at IS NOT NULL OR (data_dropped_at IS NOT NULL AND emptied_at IS NULL)
                ORDER BY id LIMIT 1
                """)
            return try rows.first?.decode(0)
        }
    }

    /// Segments go first, each after whoever is just finishing it; without them nobody writes rows of the job any more.
    private static func deletions(of job: Int64) -> [(Int) -> PostgresStatement] {
        func rows(_ table: PostgresStatement) -> (Int) -> PostgresStatement {
            { limit in
                """
                DELETE FROM \(sql: table) WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM \(sql: table) WHERE job_id = \(job) ORDER BY seq LIMIT \(limit)))
                """
            }
        }
        let segments: (Int) -> PostgresStatement = { limit in
            """
            WITH doomed AS MATERIALIZED (
                SELECT s.id FROM ovenbird.job_segments AS s WHERE s.job_id = \(job)
                ORDER BY s.id LIMIT \(limit) FOR UPDATE
            )
            DELETE FROM ovenbird.job_segments AS s USING doomed WHERE s.id = doomed.id
            """
        }
        return [
            segments, rows("ovenbird.job_results"), rows("ovenbird.job_errors"), rows("ovenbird.job_inputs"),
        ]
    }

    /// What is left of a job without rows: nothing of a deleted one, of another what it was and how it ended.
    private func forget(_ job: Int64) async throws(StorageError) {
        _ = try await change("DELETE FROM ovenbird.jobs WHERE id = \(job) AND deleted_at IS NOT NULL")
        _ = try await change(
            """
            UPDATE ovenbird.jobs SET emptied_at = clock_timestamp()
            WHERE id = \(job) AND deleted_at IS NULL AND data_dropped_at IS NOT NULL AND emptied_at IS NULL
            """)
    }

    private func change(_ statement: PostgresStatement) async throws(StorageError) -> Int {
        try await run { () throws(PostgresError) in
            try await transaction([statement]).last?.affectedRowCount ?? 0
        }
    }
}
