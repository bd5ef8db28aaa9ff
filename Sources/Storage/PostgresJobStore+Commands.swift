package import Embeddings
import Postgres

extension PostgresJobStore {
    package func apply(_ command: JobCommand, to job: JobID) async throws(StorageError) -> JobTransition {
        let change: [PostgresStatement]
        switch command {
        case .pause:
            change = [
                """
                UPDATE ovenbird.jobs AS j SET state = 'paused'
                WHERE j.public_id = \(job.description) AND j.state IN ('queued', 'running') AND j.deleted_at IS NULL
                """
            ]
        case .resume:
            change = [
                Self.settleCredit(of: job),
                """
                UPDATE ovenbird.jobs AS j SET state = CASE WHEN j.started_at IS NULL THEN 'queued' ELSE 'running' END
                WHERE j.public_id = \(job.description) AND j.state = 'paused' AND j.deleted_at IS NULL
                """,
            ]
        case .cancel:
            // Its segments stay as they are: nobody claims them any more, and who still has one cannot finish it.
            change = [
                """
                UPDATE ovenbird.jobs AS j SET state = 'cancelled', ended_at = clock_timestamp()
                WHERE j.public_id = \(job.description) AND j.state IN ('queued', 'running', 'paused')
                    AND j.deleted_at IS NULL
                """
            ]
        case .retryFailed: change = [Self.settleCredit(of: job), Self.lock(job), Self.retryFailed(of: job)]
        }
        let current = Job.selection(where: "j.public_id = \(job.description) AND \(sql: Job.isVisible)")
        let (job, hasChanged) = try await run { () throws(PostgresError) -> (Job?, Bool) in
            let results = try await transaction(
                change + [current], timeout: command == .retryFailed ? Self.retryTimeout : nil)
            let job: Job? = if let row = results.last?.first { try Job(row: row) } else { nil }
            // The last of them is what changes the job.
            return (job, results[change.count - 1].affectedRowCount > 0)
        }
        guard let job else { return .unknown }
        if !job.state.hasEnded, command == .resume || command == .retryFailed { await wakeUps.send(through: pool) }
        return command.isDone(by: job, hasChanged: hasChanged) ? .done(job) : .refused(job.state)
    }

    package func deleteJob(_ id: JobID) async throws(StorageError) -> Bool {
        try await run { () throws(PostgresError) in
            // Cancelled too, so that nobody needs to look at two columns before he works on it.
            let results = try await transaction([
                """
                UPDATE ovenbird.jobs AS j SET deleted_at = clock_timestamp(),
                    state = CASE WHEN j.ended_at IS NULL THEN 'cancelled' ELSE j.state END,
                    ended_at = coalesce(j.ended_at, clock_timestamp())
                WHERE j.public_id = \(id.description) AND \(sql: Job.isVisible)
                """
            ])
            return results.last?.affectedRowCount == 1
        }
    }

    /// A million failures take some seconds.
    private static let retryTimeout = Duration.seconds(60)

    /// Lines without a text have nothing that could be tried again.
    private static func retryFailed(of job: JobID) -> PostgresStatement {
        """
        WITH job AS MATERIALIZED (
            SELECT id FROM ovenbird.jobs WHERE public_id = \(job.description) AND state = 'completed' AND failed > 0
                AND deleted_at IS NULL AND data_dropped_at IS NULL
        ), failed AS MATERIALIZED (
            SELECT s.id, s.job_id, f.seqs FROM job JOIN ovenbird.job_segments AS s ON s.job_id = job.id
            CROSS JOIN LATERAL (
                SELECT array_agg(e.seq ORDER BY e.seq) AS seqs FROM ovenbird.job_errors AS e
                JOIN ovenbird.job_inputs AS i ON i.job_id = e.job_id AND i.seq = e.seq
                WHERE e.job_id = s.job_id AND e.seq BETWEEN s.first_seq AND s.last_seq AND i.text IS NOT NULL
            ) AS f
            WHERE f.seqs IS NOT NULL
            ORDER BY s.id
        ), opened AS (
            UPDATE ovenbird.job_segments AS s SET state = 'available', pending = failed.seqs, attempt = 0,
                run_at = clock_timestamp(), finished_at = NULL, last_error = NULL
            FROM failed WHERE s.id = failed.id
        ), forgotten AS (
            DELETE FROM ovenbird.job_errors AS e USING failed
            WHERE e.job_id = failed.job_id AND e.seq = ANY (failed.seqs)
        )
        UPDATE ovenbird.jobs AS j SET state = 'queued', queued_at = clock_timestamp(), ended_at = NULL,
            failed = j.failed - retried.count
        FROM (SELECT job_id, sum(cardinality(seqs))::int8 AS count FROM failed GROUP BY job_id) AS retried
        WHERE j.id = retried.job_id
        """
    }
}

extension JobCommand {
    /// Whether the job is as the command wants it: it was changed, or it had been so already.
    fileprivate func isDone(by job: Job, hasChanged: Bool) -> Bool {
        switch (self, job.state) {
        case (.pause, .paused), (.cancel, .cancelled): true
        case (.resume, .queued), (.resume, .running): true
        // With nothing failed that could be tried again, there is nothing to do.
        case (.retryFailed, .completed): job.dataDroppedAt == nil
        case (.retryFailed, .queued): hasChanged
        default: false
        }
    }
}
