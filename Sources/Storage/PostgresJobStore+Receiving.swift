package import Embeddings
import Postgres

extension PostgresJobStore {
    package func beginJob(_ specification: JobSpecification) async throws(StorageError) -> JobID {
        let id = JobID.random()
        let model = specification.fingerprint.bytes
        let results = try await run { () throws(PostgresError) in
            try await transaction([
                """
                INSERT INTO ovenbird.model_versions (name, fingerprint, dimensions)
                SELECT \(specification.modelName), \(model), \(Int32(clamping: specification.dimensions))
                WHERE NOT EXISTS (
                    SELECT FROM ovenbird.model_versions WHERE fingerprint = \(model) AND name = \(specification.modelName))
                ON CONFLICT (fingerprint, name) DO NOTHING
                """,
                """
                INSERT INTO ovenbird.job_owners (owner) VALUES (\(specification.owner.description))
                ON CONFLICT (owner) DO NOTHING
                """,
                """
                INSERT INTO ovenbird.jobs (public_id, state, source, owner, priority, idempotency_key, model_version_id,
                    collection_id, collection_name)
                SELECT \(id.description), 'receiving', \(specification.source.rawValue),
                    \(specification.owner.description), \(Int32(clamping: specification.priority)),
                    \(specification.idempotencyKey), m.id, \(specification.collection?.id),
                    \(specification.collection?.name.description)
                FROM ovenbird.model_versions AS m
                WHERE m.fingerprint = \(model) AND m.name = \(specification.modelName) AND (
                    \(specification.collection?.id) IS NULL
                    OR EXISTS (SELECT FROM ovenbird.collections WHERE id = \(specification.collection?.id)))
                """,
            ])
        }
        if let collection = specification.collection, results.last?.affectedRowCount == 0 {
            throw .collectionNotFound(collection.name)
        }
        return id
    }

    package func append(_ inputs: [JobInput], at firstIndex: Int, to job: JobID) async throws(StorageError) {
        precondition((1...4_096).contains(inputs.count))
        let batch = InputBatch(inputs, at: firstIndex)
        let results = try await run { () throws(PostgresError) in
            try await transaction([Self.lock(job), batch.statement(for: job)])
        }
        guard let row = results.last?.first else { throw .noUpload(job) }
        let count: Int
        do throws(PostgresError) { count = try row.decode(0) } catch { throw StorageError(error) }
        // Fewer: an append before this one is missing. More: this one was committed already.
        guard count == firstIndex || count >= firstIndex + inputs.count else {
            throw .internalFailure(details: "inputs from \(firstIndex) on for the job \(job), which has \(count)")
        }
    }

    package func commit(_ job: JobID, hash: RequestHash?) async throws(StorageError) -> JobSubmission {
        // Another turn is needed only where what the key named was deleted in this very moment.
        for _ in 0..<4 {
            guard let result = try await run({ () throws(PostgresError) in try await flip(job, hash: hash) }) else {
                continue
            }
            switch result {
            case .accepted(let accepted):
                if !accepted.state.hasEnded { await wakeUps.send(through: pool) }
            case .replayed, .conflict:
                // What is not discarded now is swept away as any abandoned upload.
                try? await discard(job)
            }
            return result
        }
        throw .noUpload(job)
    }

    /// Nil where the key belonged to a job that is gone by now.
    private func flip(_ job: JobID, hash: RequestHash?) async throws(PostgresError) -> JobSubmission? {
        do throws(PostgresError) {
            let results = try await transaction([
                Self.lock(job),
                Self.settleCredit(of: job),
                """
                UPDATE ovenbird.jobs SET
                    state = CASE WHEN failed = total THEN 'completed' ELSE 'queued' END,
                    ended_at = CASE WHEN failed = total THEN clock_timestamp() END,
                    queued_at = clock_timestamp(), request_sha256 = \(hash?.bytes)
                WHERE public_id = \(job.description) AND state = 'receiving' AND deleted_at IS NULL
                """,
                Job.selection(where: "j.public_id = \(job.description) AND \(sql: Job.isVisible)"),
            ])
            if let row = results.last?.first { return .accepted(try Job(row: row)) }
        } catch {
            guard case .server(let refusal) = error, refusal.code == "23505", refusal.constraint == "jobs_idempotency"
            else { throw error }
        }
        // The key is taken, now or when a commit before this one discarded the draft.
        let rows = try await pool.read(
            Job.selection(
                ", j.request_sha256",
                from: """
                    ovenbird.jobs AS draft JOIN ovenbird.jobs AS j ON j.owner = draft.owner
                        AND j.idempotency_key = draft.idempotency_key AND \(sql: Job.isVisible)
                    """,
                where: "draft.public_id = \(job.description) AND draft.state = 'receiving'"))
        guard let row = rows.first else { return nil }
        let prior = try Job(row: row)
        return try row.decode(Job.columnCount, as: [UInt8]?.self) == hash?.bytes
            ? .replayed(prior) : .conflict(prior.id)
    }

    package func discard(_ job: JobID) async throws(StorageError) {
        try await run { () throws(PostgresError) in
            _ = try await transaction([
                """
                UPDATE ovenbird.jobs SET deleted_at = clock_timestamp()
                WHERE public_id = \(job.description) AND state = 'receiving' AND deleted_at IS NULL
                """
            ])
        }
    }

    package func submission(
        of owner: JobOwner, key: String
    ) async throws(StorageError) -> (job: Job, hash: RequestHash)? {
        try await run { () throws(PostgresError) in
            let rows = try await pool.read(
                Job.selection(
                    ", j.request_sha256",
                    where: """
                        j.owner = \(owner.description) AND j.idempotency_key = \(key) AND \(sql: Job.isVisible)
                        AND j.request_sha256 IS NOT NULL
                        """))
            guard let row = rows.first else { return nil }
            let hash: [UInt8] = try row.decode(Job.columnCount)
            return (try Job(row: row), RequestHash(bytes: hash))
        }
    }

    /// Statements behind this one in a transaction see the job as it stays until their end.
    static func lock(_ job: JobID) -> PostgresStatement {
        "SELECT FROM ovenbird.jobs WHERE public_id = \(job.description) FOR UPDATE"
    }

    /// Who had nothing to do for a while has not saved up a claim to be served before everybody else: he begins where the
    /// one among those at work stands who has had least. To be run before the job becomes active: whoever claims segments
    /// locks owners before jobs.
    static func settleCredit(of job: JobID) -> PostgresStatement {
        """
        UPDATE ovenbird.job_owners AS o SET served_bytes = others.least
        FROM ovenbird.jobs AS j CROSS JOIN LATERAL (
            SELECT min(other.served_bytes) AS least FROM ovenbird.job_owners AS other
            WHERE other.owner <> j.owner AND EXISTS (
                SELECT FROM ovenbird.jobs AS active
                WHERE active.owner = other.owner AND active.state IN ('queued', 'running') AND active.deleted_at IS NULL)
        ) AS others
        WHERE j.public_id = \(job.description) AND o.owner = j.owner AND o.served_bytes < others.least
            AND NOT EXISTS (
                SELECT FROM ovenbird.jobs AS own
                WHERE own.owner = j.owner AND own.state IN ('queued', 'running') AND own.deleted_at IS NULL)
        """
    }
}
