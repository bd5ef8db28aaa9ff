package import Embeddings
package import Postgres

extension PostgresJobStore {
    package func results(
        of job: JobID, after index: Int?, limit: Int
    ) async throws(StorageError) -> [JobResult] {
        try await run { () throws(PostgresError) in
            let jobs = try await pool.read(
                """
                SELECT j.id, j.collection_id IS NOT NULL, c.id FROM ovenbird.jobs AS j
                LEFT JOIN ovenbird.collections AS c ON c.id = j.collection_id
                WHERE j.public_id = \(job.description) AND \(sql: Job.isVisible) AND j.data_dropped_at IS NULL
                """)
            guard let row = jobs.first else { return [] }
            let id: Int64 = try row.decode(0)
            let isCollections: Bool = try row.decode(1)
            let collection: Int64? = try row.decode(2)
            let place: ResultPlace =
                if isCollections { collection.map(ResultPlace.collection) ?? .nowhere } else { .job }
            do throws(PostgresError) {
                return try await results(of: id, in: place, after: index, limit: limit)
            } catch {
                // undefined_table: the collection was dropped just now.
                guard case .collection = place, error.code == "42P01" else { throw error }
                return try await results(of: id, in: .nowhere, after: index, limit: limit)
            }
        }
    }

    /// Where a job's vectors are.
    package enum ResultPlace: Sendable {
        case job
        case collection(Int64)
        /// They went with their collection.
        case nowhere
    }

    private func results(
        of job: Int64, in place: ResultPlace, after index: Int?, limit: Int
    ) async throws(PostgresError) -> [JobResult] {
        let rows = try await pool.read(Self.resultsStatement(of: job, in: place, after: index, limit: limit))
        var results: [JobResult] = []
        results.reserveCapacity(rows.count)
        for row in rows {
            let index: Int = try row.decode(0)
            let outcome: Result<Embedding, ItemError>
            if let code = try row.decode(2, as: String?.self) {
                outcome = .failure(ItemError(code: code, message: try row.decode(3)))
            } else if let vector = try row.decode(6, as: HalfVector?.self) {
                outcome = .success(
                    Embedding(
                        vector: vector.widened, tokenCount: try row.decode(4), isTruncated: try row.decode(5)))
            } else if case .job = place {
                throw .decoding("input \(index) of job \(job) is done, and has neither result nor error")
            } else {
                outcome = .failure(.superseded)
            }
            results.append(JobResult(index: index, id: try row.decode(1), outcome: outcome))
        }
        return results
    }

    /// Seq, id, error code and message, token count, truncated, embedding.
    ///
    /// One statement, so one view of the job. Segments lead: those with nothing to show are skipped as a whole, and of
    /// the others no more are opened than the page has room for, however long the job is. The subqueries with OFFSET 0
    /// are executed row by row, through the primary keys, whatever the planner believes of tables that it has not
    /// analyzed since millions of rows came in.
    package static func resultsStatement(
        of job: Int64, in place: ResultPlace, after index: Int?, limit: Int
    ) -> PostgresStatement {
        let start = (index ?? -1) + 1
        return """
            SELECT page.seq, page.external_id, coalesce(e.code, page.code), coalesce(e.message, page.message),
                found.token_count, found.truncated, found.embedding
            FROM (
                SELECT i.seq, i.external_id, i.content_sha256,
                    CASE WHEN NOT i.is_done THEN coalesce(s.failure_code, 'cancelled') END AS code,
                    CASE WHEN NOT i.is_done
                        THEN coalesce(s.failure_message, 'the job was cancelled before this input was embedded')
                    END AS message
                FROM (\(sql: segments(of: job, from: start, limit: limit))) AS s
                CROSS JOIN LATERAL (
                    SELECT i.seq, i.external_id, i.content_sha256,
                        s.is_done OR coalesce(i.seq <> ALL (s.pending), false) AS is_done
                    FROM ovenbird.job_inputs AS i
                    WHERE i.job_id = \(job) AND i.seq BETWEEN greatest(s.first_seq, \(start)) AND s.last_seq OFFSET 0
                ) AS i
                WHERE (i.is_done OR s.is_cut) AND s.earlier < \(limit)
                ORDER BY i.seq LIMIT \(limit)
            ) AS page
            LEFT JOIN LATERAL (
                SELECT e.code, e.message FROM ovenbird.job_errors AS e WHERE e.job_id = \(job) AND e.seq = page.seq
                OFFSET 0
            ) AS e ON true
            LEFT JOIN LATERAL (\(sql: vector(of: job, in: place))) AS found ON true
            ORDER BY page.seq
            """
    }

    /// The job's segments of which at least one input has ended (all of them, where the job was cut short), from the one
    /// that holds `start`; `earlier` is how many inputs, at the least, those before it give to the page.
    private static func segments(of job: Int64, from start: Int, limit: Int) -> PostgresStatement {
        """
        SELECT *, sum(greatest(0, count)) OVER (ORDER BY first_seq) - greatest(0, count) AS earlier FROM (
            SELECT s.first_seq, s.last_seq, s.pending, s.state = 'done' AS is_done, j.state <> 'completed' AND
                j.ended_at IS NOT NULL AS is_cut, j.failure_code, j.failure_message,
                s.last_seq - greatest(s.first_seq, \(start)) + 1 - CASE
                    WHEN s.state = 'done' OR j.ended_at IS NOT NULL THEN 0 ELSE cardinality(s.pending) END AS count
            FROM ovenbird.jobs AS j JOIN ovenbird.job_segments AS s ON s.job_id = j.id
            WHERE j.id = \(job) AND j.deleted_at IS NULL AND j.data_dropped_at IS NULL AND s.job_id = \(job)
                AND s.first_seq >= coalesce((
                    SELECT max(b.first_seq) FROM ovenbird.job_segments AS b
                    WHERE b.job_id = \(job) AND b.first_seq <= \(start)
                ), 0)
                AND s.last_seq >= \(start)
                AND (s.state = 'done' OR j.ended_at IS NOT NULL OR cardinality(s.pending) <= s.last_seq - s.first_seq)
            ORDER BY s.first_seq LIMIT \(limit + 1)
        ) AS shown
        """
    }

    private static func vector(of job: Int64, in place: ResultPlace) -> PostgresStatement {
        switch place {
        case .job:
            """
            SELECT r.token_count, r.truncated, coalesce(r.embedding, same.embedding) AS embedding
            FROM ovenbird.job_results AS r
            LEFT JOIN ovenbird.job_results AS same ON same.job_id = \(job) AND same.seq = r.same_as
            WHERE r.job_id = \(job) AND r.seq = page.seq OFFSET 0
            """
        case .collection(let id):
            """
            SELECT d.token_count, d.truncated, v.embedding FROM ovenbird.documents_\(literal: Int(id)) AS d
            JOIN ovenbird.vectors_\(literal: Int(id)) AS v ON v.document_id = d.id
            WHERE d.external_id = page.external_id AND d.content_sha256 = page.content_sha256 OFFSET 0
            """
        case .nowhere: "SELECT NULL::int AS token_count, NULL::boolean AS truncated, NULL AS embedding"
        }
    }
}

extension ItemError {
    /// The collection is the only place where a collection's job keeps a vector.
    static let superseded = ItemError(
        code: "superseded", message: "the document has another text by now, or is gone from the collection")
}
