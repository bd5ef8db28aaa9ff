package import Embeddings
import JSON
import Postgres

extension PostgresBatchStore {
    package func claimBatch(for duration: Duration) async throws(StorageError) -> LeasedBatch? {
        let rows = try await query(
            """
            WITH candidate AS MATERIALIZED (
                SELECT b.id FROM ovenbird.batches AS b
                WHERE b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling')
                    AND b.run_at <= clock_timestamp()
                    AND (b.lease_token IS NULL OR b.lease_expires_at < clock_timestamp())
                    AND (b.status <> 'in_progress' OR b.expires_at <= clock_timestamp() OR NOT EXISTS (
                        SELECT FROM ovenbird.jobs AS j
                        WHERE j.public_id = b.job AND j.deleted_at IS NULL AND j.ended_at IS NULL))
                ORDER BY b.run_at, b.id LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            UPDATE ovenbird.batches AS b SET lease_token = nextval('ovenbird.batch_lease_tokens'),
                lease_expires_at = clock_timestamp() + \(sql: duration.interval), attempt = b.attempt + 1
            FROM candidate WHERE b.id = candidate.id
            RETURNING \(sql: Self.columns), b.lease_token, b.attempt, b.expires_at <= clock_timestamp(), b.ending
            """)
        return try await mapped { () throws(PostgresError) in
            guard let row = rows.first else { return nil }
            let batch = try Batch(row: row)
            return LeasedBatch(
                lease: BatchLease(batch: batch.id, token: try row.decode(Self.columnCount)), batch: batch,
                attempt: try row.decode(Self.columnCount + 1), isOverdue: try row.decode(Self.columnCount + 2),
                ending: try row.optionalWord(Self.columnCount + 3, BatchEnding.init))
        }
    }

    package func extend(_ lease: BatchLease, by duration: Duration) async throws(StorageError) -> Bool {
        try await update(lease, "lease_expires_at = clock_timestamp() + \(sql: duration.interval)")
    }

    package func release(
        _ lease: BatchLease, pause: Duration, _ charge: AttemptCharge
    ) async throws(StorageError) -> Bool {
        try await update(
            lease,
            """
            run_at = clock_timestamp() + \(sql: pause.interval), attempt = greatest(b.attempt - \(Int32(charge == .refunded ? 1 : 0)), 0),
            \(sql: Self.noLease)
            """)
    }

    package func beginValidation(_ lease: BatchLease, draft: JobID) async throws(StorageError) -> Bool {
        let results = try await transaction(
            [
                """
                UPDATE ovenbird.batches AS b SET job = \(draft.description)
                WHERE \(sql: Self.isHeld(lease)) AND b.status = 'validating' RETURNING b.id
                """,
                forgetRequests(lease),
            ], timeout: Self.longTimeout)
        return !results[0].isEmpty
    }

    package func append(
        _ requests: [BatchRequest], _ lease: BatchLease
    ) async throws(StorageError) -> BatchRequestsAppended {
        let columns = RequestColumns(requests)
        let rows = try await query(
            """
            WITH held AS MATERIALIZED (
                SELECT b.id FROM ovenbird.batches AS b
                WHERE \(sql: Self.isHeld(lease)) AND b.status = 'validating' FOR UPDATE
            ), stored AS (
                INSERT INTO ovenbird.batch_requests (batch_id, line, custom_id, first_input, input_count, encoding,
                    dimensions, error_code, error_message, error_parameter)
                SELECT held.id, r.* FROM held, unnest(
                    \(columns.lines), \(columns.customIDs), \(columns.firstInputs), \(columns.inputCounts),
                    \(columns.encodings), \(columns.dimensions), \(columns.errorCodes), \(columns.errorMessages),
                    \(columns.errorParameters)) AS r
                ON CONFLICT (batch_id, custom_id) DO NOTHING RETURNING line
            )
            SELECT ARRAY (SELECT line FROM stored) FROM held
            """, timeout: Self.longTimeout)
        return try await mapped { () throws(PostgresError) in
            guard let row = rows.first else { return .leaseLost }
            let stored = Set(try row.decode(0, as: [Int32].self))
            return .appended(duplicateLines: requests.map(\.line).filter { !stored.contains(Int32(clamping: $0)) })
        }
    }

    package func refuse(_ lease: BatchLease, errors: [BatchError]) async throws(StorageError) -> Bool {
        let results = try await transaction(
            [
                forgetRequests(lease),
                """
                UPDATE ovenbird.batches AS b SET status = 'failed', failed_at = clock_timestamp(), job = NULL,
                    errors = \(errors.stored), \(sql: Self.noLease)
                WHERE \(sql: Self.isHeld(lease)) AND b.status = 'validating'
                """,
            ], timeout: Self.longTimeout)
        return results[1].affectedRowCount > 0
    }

    package func start(_ lease: BatchLease, _ start: BatchStart) async throws(StorageError) -> Bool {
        try await update(
            lease,
            """
            status = 'in_progress', in_progress_at = clock_timestamp(), attempt = 0, run_at = clock_timestamp(),
            job = \(start.job?.description), model_name = \(start.modelName),
            request_count = \(Int32(clamping: start.requestCount)), failed_count = \(Int32(clamping: start.refusedCount)),
            input_count = \(Int32(clamping: start.inputCount)), \(sql: Self.noLease)
            """, in: "b.status = 'validating'")
    }

    package func beginFinalizing(_ lease: BatchLease, ending: BatchEnding) async throws(StorageError) -> Bool {
        try await update(
            lease,
            """
            status = 'finalizing', finalizing_at = coalesce(b.finalizing_at, clock_timestamp()),
            ending = coalesce(b.ending, \(ending.rawValue))
            """, in: "b.status IN ('in_progress', 'finalizing')")
    }

    package func end(_ lease: BatchLease, _ end: BatchEnd) async throws(StorageError) -> Bool {
        var statements: [PostgresStatement] = []
        var files: [BatchPart: FileID] = [:]
        for (part, byteCount) in [(BatchPart.output, end.outputByteCount), (.error, end.errorByteCount)]
        where byteCount > 0 {
            let id = FileID.random()
            files[part] = id
            statements.append(
                """
                INSERT INTO ovenbird.files
                    (public_id, name, batch_id, part, byte_count, completed_at, expires_at)
                SELECT \(id.description), \("\(lease.batch)_\(part.rawValue).jsonl"), b.id, \(part.rawValue),
                    \(byteCount), clock_timestamp(), least(
                        clock_timestamp() + \(sql: end.fileLifetime.interval), \(end.filesEndBy.map(PostgresTimestamp.init)))
                FROM ovenbird.batches AS b
                WHERE \(sql: Self.isHeld(lease)) AND b.status IN ('finalizing', 'cancelling') FOR UPDATE
                """)
        }
        // Nothing ran, so nothing is told.
        if files.isEmpty { statements.append(forgetRequests(lease)) }
        let column: PostgresStatement =
            switch end.ending {
            case .completed: "completed_at"
            case .expired: "expired_at"
            case .cancelled: "cancelled_at"
            }
        statements.append(
            """
            UPDATE ovenbird.batches AS b SET status = \(end.ending.rawValue), ending = \(end.ending.rawValue),
                \(sql: column) = clock_timestamp(), output_file = \(files[.output]?.description),
                error_file = \(files[.error]?.description), request_count = \(Int32(clamping: end.counts.total)),
                completed_count = \(Int32(clamping: end.counts.completed)),
                failed_count = \(Int32(clamping: end.counts.failed)), token_count = \(end.tokenCount),
                \(sql: Self.noLease)
            WHERE \(sql: Self.isHeld(lease)) AND b.status IN ('finalizing', 'cancelling')
            """)
        return (try await transaction(statements, timeout: Self.longTimeout).last?.affectedRowCount ?? 0) > 0
    }

    private static let noLease: PostgresStatement = "lease_token = NULL, lease_expires_at = NULL"

    private static func isHeld(_ lease: BatchLease) -> PostgresStatement {
        "b.public_id = \(lease.batch.description) AND b.lease_token = \(lease.token)"
    }

    private func update(
        _ lease: BatchLease, _ changes: PostgresStatement, in states: PostgresStatement = "true"
    ) async throws(StorageError) -> Bool {
        try await query(
            "UPDATE ovenbird.batches AS b SET \(sql: changes) WHERE \(sql: Self.isHeld(lease)) AND \(sql: states)"
        ).affectedRowCount > 0
    }

    private func forgetRequests(_ lease: BatchLease) -> PostgresStatement {
        """
        DELETE FROM ovenbird.batch_requests WHERE batch_id = (
            SELECT b.id FROM ovenbird.batches AS b WHERE \(sql: Self.isHeld(lease)) FOR UPDATE)
        """
    }
}

/// Requests as the columns of one statement.
private struct RequestColumns {
    var lines: [Int32] = []
    var customIDs: [String] = []
    var firstInputs: [Int32?] = []
    var inputCounts: [Int32?] = []
    var encodings: [String?] = []
    var dimensions: [Int32?] = []
    var errorCodes: [String?] = []
    var errorMessages: [String?] = []
    var errorParameters: [String?] = []

    init(_ requests: [BatchRequest]) {
        for request in requests {
            lines.append(Int32(clamping: request.line))
            customIDs.append(request.customID)
            var inputs: Range<Int>?
            var format: AnswerFormat?
            var refusal: (error: ItemError, parameter: String?)?
            switch request.content {
            case .embedded(let range, let answer): (inputs, format) = (range, answer)
            case .refused(let error, let parameter): refusal = (error, parameter)
            }
            firstInputs.append(inputs.map { Int32(clamping: $0.lowerBound) })
            inputCounts.append(inputs.map { Int32(clamping: $0.count) })
            encodings.append(format?.encoding.rawValue)
            dimensions.append(format.map { Int32(clamping: $0.dimensions) })
            errorCodes.append(refusal?.error.code)
            errorMessages.append(refusal?.error.message)
            errorParameters.append(refusal?.parameter)
        }
    }
}
