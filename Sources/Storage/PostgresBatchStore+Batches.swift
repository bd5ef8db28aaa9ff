package import Embeddings
import JSON
import Postgres

extension PostgresBatchStore {
    package func createBatch(_ specification: BatchSpecification) async throws(StorageError) -> Batch? {
        let id = BatchID.random()
        let file = specification.inputFile.description
        let rows = try await query(
            """
            WITH file AS MATERIALIZED (
                SELECT f.public_id FROM ovenbird.files AS f
                WHERE f.public_id = \(file) AND f.batch_id IS NULL AND \(sql: Self.isVisible) FOR KEY SHARE
            )
            INSERT INTO ovenbird.batches AS b
                (public_id, owner, status, input_file, metadata, output_lifetime_seconds, created_at, expires_at)
            SELECT \(id.description), \(specification.owner.description), 'validating', file.public_id,
                \(specification.metadata?.jsonb), \(specification.outputLifetime?.components.seconds), now(),
                now() + \(sql: specification.completionWindow.interval)
            FROM file RETURNING \(sql: Self.columns)
            """)
        return try await batches(rows).first
    }

    package func batch(_ id: BatchID) async throws(StorageError) -> Batch? {
        try await batches(
            read("SELECT \(sql: Self.columns) FROM ovenbird.batches AS b WHERE b.public_id = \(id.description)")
        ).first
    }

    package func batches(after: BatchID?, limit: Int) async throws(StorageError) -> BatchPage? {
        var place = Int64.max
        if let after {
            guard
                let row = try await read(
                    "SELECT b.id FROM ovenbird.batches AS b WHERE b.public_id = \(after.description)"
                ).first
            else { return nil }
            place = try await mapped { () throws(PostgresError) in try row.decode(0) }
        }
        let found = try await batches(
            read(
                """
                SELECT \(sql: Self.columns) FROM ovenbird.batches AS b WHERE b.id < \(place)
                ORDER BY b.id DESC LIMIT \(limit + 1)
                """))
        return BatchPage(batches: Array(found.prefix(limit)), hasMore: found.count > limit)
    }

    package func cancelBatch(_ id: BatchID) async throws(StorageError) -> BatchCancellation {
        let rows = try await query(
            """
            UPDATE ovenbird.batches AS b SET status = 'cancelling', cancelling_at = clock_timestamp(), attempt = 0,
                run_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL
            WHERE b.public_id = \(id.description) AND b.status IN ('validating', 'in_progress')
            RETURNING \(sql: Self.columns)
            """)
        if let batch = try await batches(rows).first { return .done(batch) }
        guard let batch = try await batch(id) else { return .unknown }
        switch batch.status {
        case .cancelling, .cancelled: return .done(batch)
        case .validating, .inProgress, .finalizing, .failed, .completed, .expired: return .refused(batch.status)
        }
    }

    package func requests(
        of batch: BatchID, afterLine line: Int, limit: Int
    ) async throws(StorageError) -> [BatchRequest] {
        let rows = try await read(
            """
            SELECT r.line, r.custom_id, r.first_input, r.input_count, r.encoding, r.dimensions, r.error_code,
                r.error_message, r.error_parameter
            FROM ovenbird.batch_requests AS r
            WHERE r.batch_id = (SELECT b.id FROM ovenbird.batches AS b WHERE b.public_id = \(batch.description))
                AND r.line > \(Int32(clamping: line))
            ORDER BY r.line LIMIT \(limit)
            """)
        return try await mapped { () throws(PostgresError) in
            var requests: [BatchRequest] = []
            for row in rows { requests.append(try BatchRequest(row: row)) }
            return requests
        }
    }

    /// What `Batch.init(row:)` reads.
    static let columns: PostgresStatement = """
        b.public_id, b.status, b.owner, b.input_file, b.output_file, b.error_file, b.metadata,
        b.output_lifetime_seconds, b.model_name, b.job, b.request_count, b.completed_count, b.failed_count,
        b.input_count, b.token_count, b.errors, b.created_at, b.expires_at, b.in_progress_at, b.finalizing_at,
        b.completed_at, b.failed_at, b.expired_at, b.cancelling_at, b.cancelled_at
        """
    static let columnCount = 25

    private func batches(_ rows: PostgresResult) async throws(StorageError) -> [Batch] {
        try await mapped { () throws(PostgresError) in
            var batches: [Batch] = []
            for row in rows { batches.append(try Batch(row: row)) }
            return batches
        }
    }
}

extension Batch {
    init(row: PostgresRow) throws(PostgresError) {
        var moments = BatchMoments(created: try row.moment(16), expires: try row.moment(17))
        moments.inProgress = try row.timestamp(18)
        moments.finalizing = try row.timestamp(19)
        moments.completed = try row.timestamp(20)
        moments.failed = try row.timestamp(21)
        moments.expired = try row.timestamp(22)
        moments.cancelling = try row.timestamp(23)
        moments.cancelled = try row.timestamp(24)
        var metadata: JSONObject?
        if let stored = try row.decode(6, as: JSONBText?.self) { metadata = try JSONObject(stored: stored) }
        self.init(
            id: try row.word(0, BatchID.init), status: try row.word(1, BatchStatus.init),
            owner: JobOwner(try row.decode(2)), inputFile: try row.word(3, FileID.init),
            outputFile: try row.optionalWord(4, FileID.init), errorFile: try row.optionalWord(5, FileID.init),
            metadata: metadata, outputLifetime: try row.decode(7, as: Int?.self).map { .seconds($0) },
            modelName: try row.decode(8), job: try row.optionalWord(9, JobID.init),
            counts: BatchCounts(
                total: try row.decode(10), completed: try row.decode(11), failed: try row.decode(12)),
            inputCount: try row.decode(13), tokenCount: try row.decode(14),
            errors: try [BatchError](stored: try row.decode(15)), moments: moments)
    }
}

extension BatchRequest {
    fileprivate init(row: PostgresRow) throws(PostgresError) {
        let content: Content
        if let first = try row.decode(2, as: Int?.self) {
            content = .embedded(
                inputs: first..<(first + (try row.decode(3, as: Int.self))),
                AnswerFormat(
                    encoding: try row.word(4, AnswerFormat.Encoding.init), dimensions: try row.decode(5)))
        } else {
            content = .refused(
                ItemError(code: try row.decode(6), message: try row.decode(7)), parameter: try row.decode(8))
        }
        self.init(line: try row.decode(0), customID: try row.decode(1), content: content)
    }
}

extension [BatchError] {
    var stored: JSONBText {
        let values = map { (error: BatchError) -> JSONValue in
            var object = JSONObject()
            object["code"] = .string(error.code)
            object["message"] = .string(error.message)
            if let parameter = error.parameter { object["param"] = .string(parameter) }
            if let line = error.line { object["line"] = .number(JSONNumber(line)) }
            return .object(object)
        }
        return JSONBText(JSONValue.array(values).serialized)
    }

    fileprivate init(stored: JSONBText) throws(PostgresError) {
        guard let values = (try? JSONValue(parsing: stored.text))?.array else {  // no error: thrown at once
            throw .decoding("errors that are no list")
        }
        self = values.compactMap(\.object).map { error in
            BatchError(
                code: error["code"]?.string ?? "", message: error["message"]?.string ?? "",
                parameter: error["param"]?.string, line: error["line"]?.number?.integer)
        }
    }
}
