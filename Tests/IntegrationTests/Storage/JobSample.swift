import Embeddings
import JSON
import Postgres
import Storage

/// Makes what tests of the PostgreSQL job store need, and ends segments as workers do.
enum JobSample {
    static func specification(
        collection: DocumentCollection? = nil, owner: String = "tester", priority: Int = 0, key: String? = nil
    ) -> JobSpecification {
        JobSpecification(
            source: .http, owner: JobOwner(owner), collection: collection, model: Sample.model(), priority: priority,
            idempotencyKey: key)
    }

    static func input(_ id: String, _ text: String, _ metadata: JSONObject = JSONObject()) -> JobInput {
        JobInput(id: id, content: .success(JobInput.Content(text: text, metadata: metadata)))
    }

    static func invalid(_ id: String, _ message: String = "the line is no JSON") -> JobInput {
        JobInput(id: id, content: .failure(ItemError(code: "invalid_line", message: message)))
    }

    static func hash(_ byte: UInt8) -> RequestHash { RequestHash(bytes: Array(repeating: byte, count: 32)) }

    /// A queued job of `count` inputs `0`, `1`, and so on, with the texts `text 0`, `text 1`.
    static func job(
        of count: Int, in store: PostgresJobStore, _ specification: JobSpecification = specification()
    ) async throws -> JobID {
        let job = try await store.beginJob(specification)
        for start in stride(from: 0, to: count, by: 1_024) {
            let inputs = (start..<min(count, start + 1_024)).map { input("\($0)", "text \($0)") }
            try await store.append(inputs, at: start, to: job)
        }
        guard case .accepted = try await store.commit(job, hash: nil) else { throw ContractBroken("not accepted") }
        return job
    }

    /// Ends the job's segments that begin within the range: every waiting input of a results-only job gets the vector
    /// (index, 1, 0, 0), or an error where its index is one of `failing`.
    static func finish(
        _ range: Range<Int> = 0..<1_000_000_000, of job: JobID, failing: [Int] = [], on pool: PostgresPool
    ) async throws {
        _ = try await pool.query(
            """
            WITH job AS MATERIALIZED (
                SELECT id, collection_id FROM ovenbird.jobs WHERE public_id = \(job.description)
            ), done AS (
                UPDATE ovenbird.job_segments AS s SET state = 'done', finished_at = clock_timestamp() FROM job
                WHERE s.job_id = job.id AND s.state = 'available'
                    AND s.first_seq BETWEEN \(range.lowerBound) AND \(range.upperBound - 1)
                RETURNING s.job_id, s.first_seq, s.last_seq, s.pending
            ), ended AS MATERIALIZED (
                SELECT i.* FROM done JOIN ovenbird.job_inputs AS i
                    ON i.job_id = done.job_id AND i.seq BETWEEN done.first_seq AND done.last_seq
                WHERE done.pending IS NULL OR i.seq = ANY (done.pending)
            ), errors AS (
                INSERT INTO ovenbird.job_errors SELECT job_id, seq, 'poison', 'cannot be read' FROM ended
                WHERE seq = ANY (\(failing))
            ), results AS (
                INSERT INTO ovenbird.job_results (job_id, seq, token_count, truncated, content_sha256, embedding)
                SELECT ended.job_id, seq, 3, false, content_sha256, ('[' || seq || ',1,0,0]')::halfvec
                FROM ended JOIN job ON job.collection_id IS NULL WHERE NOT seq = ANY (\(failing))
            ), counts AS (
                SELECT count(*) FILTER (WHERE NOT seq = ANY (\(failing))) AS good,
                    count(*) FILTER (WHERE seq = ANY (\(failing))) AS bad FROM ended
            )
            UPDATE ovenbird.jobs AS j SET succeeded = succeeded + counts.good, failed = failed + counts.bad,
                started_at = coalesce(started_at, clock_timestamp()),
                state = CASE WHEN succeeded + counts.good + failed + counts.bad = total THEN 'completed' ELSE 'running' END,
                ended_at = CASE WHEN succeeded + counts.good + failed + counts.bad = total THEN clock_timestamp() END
            FROM job, counts WHERE j.id = job.id
            """, timeout: .seconds(60))
    }
}

extension TestDatabase {
    static func withJobStore(
        _ body: (PostgresJobStore, PostgresDocumentStore, PostgresPool) async throws -> Void
    ) async throws {
        try await withStore { documents, pool in try await body(PostgresJobStore(pool: pool), documents, pool) }
    }
}

extension PostgresPool {
    /// The only value that a statement answers.
    func value<Value: PostgresDecodable>(_ statement: PostgresStatement, as: Value.Type = Value.self) async throws
        -> Value
    {
        guard let row = try await query(statement).first else { throw ContractBroken("no row") }
        return try row.decode(0)
    }
}
