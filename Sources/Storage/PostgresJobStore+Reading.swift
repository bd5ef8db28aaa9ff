package import Embeddings
import Postgres

extension PostgresJobStore {
    package func job(_ id: JobID) async throws(StorageError) -> Job? {
        try await run { () throws(PostgresError) in
            // The half minute begins with the job at the earliest, and ends with it.
            let rows = try await pool.read(
                Job.selection(
                    """
                    , (SELECT sum(coalesce(cardinality(s.pending), s.last_seq - s.first_seq + 1))
                            / greatest(1, extract(epoch FROM least(clock_timestamp(), j.ended_at)
                                - greatest(clock_timestamp() - interval '30 s', j.started_at)))
                        FROM ovenbird.job_segments AS s
                        WHERE s.job_id = j.id AND s.state = 'done' AND s.finished_at >= j.started_at
                            AND s.finished_at > clock_timestamp() - interval '30 s'
                    )::float8
                    """,
                    where: "j.public_id = \(id.description) AND \(sql: Job.isVisible)"))
            guard let row = rows.first else { return nil }
            var job = try Job(row: row)
            job.inputsPerSecond = try row.decode(Job.columnCount)
            return job
        }
    }

    package func jobs(_ query: JobQuery) async throws(StorageError) -> JobPage {
        let limit = query.limit + 1
        let older: PostgresStatement =
            query.after.map {
                "AND j.id < (SELECT a.id FROM ovenbird.jobs AS a WHERE a.public_id = \($0.description))"
            } ?? ""
        let collection: PostgresStatement = query.collection.map { "AND j.collection_name = \($0.description)" } ?? ""
        let source: PostgresStatement = query.source.map { "AND j.source = \($0.rawValue)" } ?? ""
        func page(_ state: PostgresStatement) -> PostgresStatement {
            """
            SELECT * FROM ovenbird.jobs AS j
            WHERE \(sql: state) AND j.deleted_at IS NULL \(sql: older) \(sql: collection) \(sql: source)
            ORDER BY j.id DESC LIMIT \(limit)
            """
        }
        // Of each state the newest, then the newest of these: jobs of a rare state are not looked for among all others.
        let pages = query.states.map { "(\(sql: page("j.state = \($0.rawValue)")))" as PostgresStatement }
        let found =
            pages.isEmpty ? page("j.state <> 'receiving'") : PostgresStatement.joined(pages, separator: " UNION ALL ")
        return try await run { () throws(PostgresError) in
            let rows = try await pool.read(
                Job.selection(
                    from: "(\(sql: found)) AS j", where: "\(sql: Job.isVisible) ORDER BY j.id DESC LIMIT \(limit)"))
            var jobs: [Job] = []
            for row in rows.prefix(query.limit) { jobs.append(try Job(row: row)) }
            return JobPage(jobs: jobs, next: rows.count > query.limit ? jobs.last?.id : nil)
        }
    }

    package func failures(
        of job: JobID, after index: Int?, limit: Int
    ) async throws(StorageError) -> [JobFailure] {
        try await run { () throws(PostgresError) in
            let rows = try await pool.read(
                """
                SELECT e.seq, i.external_id, e.code, e.message
                FROM ovenbird.jobs AS j CROSS JOIN LATERAL (
                    SELECT * FROM ovenbird.job_errors AS e WHERE e.job_id = j.id AND e.seq > \(index ?? -1)
                    ORDER BY e.seq LIMIT \(limit)
                ) AS e CROSS JOIN LATERAL (
                    SELECT i.external_id FROM ovenbird.job_inputs AS i WHERE i.job_id = j.id AND i.seq = e.seq OFFSET 0
                ) AS i
                WHERE j.public_id = \(job.description) AND \(sql: Job.isVisible) AND j.data_dropped_at IS NULL
                ORDER BY e.seq
                """)
            var failures: [JobFailure] = []
            for row in rows {
                failures.append(
                    JobFailure(
                        index: try row.decode(0), id: try row.decode(1),
                        error: ItemError(code: try row.decode(2), message: try row.decode(3))))
            }
            return failures
        }
    }

    package func queueStatus() async throws(StorageError) -> JobQueueStatus {
        let limit = JobQueueStatus.countLimit
        return try await run { () throws(PostgresError) in
            let counts = try await pool.read(
                """
                SELECT s.state, (
                    SELECT count(*) FROM (
                        SELECT FROM ovenbird.jobs AS j WHERE j.state = s.state AND j.deleted_at IS NULL LIMIT \(limit)
                    ) AS found)
                FROM unnest(\(JobState.allCases.map(\.rawValue))) AS s (state)
                """)
            // What is neither done nor being done waits, and every active job has some of it or is just being done.
            let queue = try await pool.read(
                """
                WITH running AS MATERIALIZED (
                    SELECT j.state, coalesce(cardinality(s.pending), s.last_seq - s.first_seq + 1) AS inputs
                    FROM ovenbird.job_segments AS s JOIN ovenbird.jobs AS j ON j.id = s.job_id
                    WHERE s.state = 'running' AND j.ended_at IS NULL AND j.deleted_at IS NULL LIMIT \(limit)
                )
                SELECT coalesce((
                        SELECT extract(epoch FROM clock_timestamp() - j.queued_at) FROM ovenbird.jobs AS j
                        WHERE j.state = 'queued' AND j.deleted_at IS NULL ORDER BY j.queued_at LIMIT 1
                    ), 0)::float8,
                    (coalesce((
                        SELECT sum(active.inputs) FROM (
                            SELECT j.total - j.succeeded - j.failed AS inputs FROM ovenbird.jobs AS j
                            WHERE j.state IN ('queued', 'running') AND j.deleted_at IS NULL LIMIT \(limit)
                        ) AS active
                    ), 0) - coalesce((
                        SELECT sum(r.inputs) FROM running AS r WHERE r.state IN ('queued', 'running')
                    ), 0))::int8,
                    (SELECT count(*) FROM running)
                """)
            guard let row = queue.first else { throw .decoding("a count without a row") }
            var status = JobQueueStatus(
                oldestQueuedAge: .seconds(try row.decode(0, as: Double.self)),
                queuedInputs: max(0, try row.decode(1)), runningSegments: try row.decode(2))
            for row in counts {
                let state: String = try row.decode(0)
                if let state = JobState(rawValue: state) { status.jobsByState[state] = try row.decode(1) }
            }
            return status
        }
    }
}
