import Crypto
import Embeddings
import Postgres

/// The inputs of one append as one statement. It does everything or, where the job no longer receives or has these inputs
/// already, nothing; it answers how many inputs the job had before, or no row where it receives none.
struct InputBatch {
    private let inputs: [JobInput]
    private let firstIndex: Int
    private let contents: [JobInput.Content?]

    init(_ inputs: [JobInput], at firstIndex: Int) {
        self.inputs = inputs
        self.firstIndex = firstIndex
        contents = inputs.map { try? $0.content.get() }
    }

    func statement(for job: JobID) -> PostgresStatement {
        let failedCount = contents.count { $0 == nil }
        return """
            WITH job AS MATERIALIZED (
                SELECT id, collection_id IS NOT NULL AS keeps_metadata, total FROM ovenbird.jobs
                WHERE public_id = \(job.description) AND state = 'receiving' AND deleted_at IS NULL
            ), target AS MATERIALIZED (
                SELECT id, keeps_metadata FROM job WHERE total = \(firstIndex)
            ), new_inputs AS (
                INSERT INTO ovenbird.job_inputs (job_id, seq, version, external_id, content_sha256, text, metadata)
                SELECT target.id, \(firstIndex - 1) + i.position, nextval('ovenbird.document_versions'), i.id, i.hash,
                    i.text, CASE WHEN target.keeps_metadata THEN i.metadata END
                FROM target CROSS JOIN unnest(
                    \(inputs.map(\.id)), \(contents.map { $0?.hash }), \(contents.map { $0?.text }),
                    \(contents.map { $0?.metadata.jsonb })
                ) WITH ORDINALITY AS i (id, hash, text, metadata, position)
                ORDER BY i.position
            ), new_segments AS (\(sql: segments)), \(sql: failedCount > 0 ? errors : "")
            counted AS (
                UPDATE ovenbird.jobs AS j SET total = j.total + \(inputs.count), failed = j.failed + \(failedCount),
                    touched_at = clock_timestamp()
                FROM target WHERE j.id = target.id
            )
            SELECT total FROM job
            """
    }

    private var segments: PostgresStatement {
        let plans = SegmentPlan.plans(for: inputs)
        // As text, because a row of arrays is no array of rows.
        let pending = plans.map { plan in
            plan.valid.count == plan.range.count
                ? nil : "{" + plan.valid.map { String(firstIndex + $0) }.joined(separator: ",") + "}"
        }
        return """
            INSERT INTO ovenbird.job_segments (job_id, first_seq, last_seq, pending, byte_count, state, finished_at)
            SELECT target.id, s.first_seq, s.last_seq, s.pending::int[], s.byte_count,
                CASE WHEN s.is_done THEN 'done' ELSE 'available' END, CASE WHEN s.is_done THEN clock_timestamp() END
            FROM target CROSS JOIN unnest(
                \(plans.map { firstIndex + $0.range.lowerBound }), \(plans.map { firstIndex + $0.range.upperBound - 1 }),
                \(pending), \(plans.map(\.byteCount)), \(plans.map(\.valid.isEmpty))
            ) AS s (first_seq, last_seq, pending, byte_count, is_done)
            """
    }

    private var errors: PostgresStatement {
        var indexes: [Int] = []
        var failures: [ItemError] = []
        for (place, input) in inputs.enumerated() {
            guard case .failure(let error) = input.content else { continue }
            indexes.append(firstIndex + place)
            failures.append(error)
        }
        return """
            new_errors AS (
                INSERT INTO ovenbird.job_errors (job_id, seq, code, message)
                SELECT target.id, e.seq, e.code, e.message FROM target CROSS JOIN unnest(
                    \(indexes), \(failures.map(\.code.storable)), \(failures.map(\.message.storable))
                ) AS e (seq, code, message)
            ),
            """
    }
}

extension JobInput.Content {
    /// SHA-256 of the text's UTF-8, 32 bytes.
    fileprivate var hash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}

extension String {
    /// A message may quote what was sent, and PostgreSQL holds no NUL.
    fileprivate var storable: String {
        utf8.contains(0) ? String(String.UnicodeScalarView(unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : $0 })) : self
    }
}
