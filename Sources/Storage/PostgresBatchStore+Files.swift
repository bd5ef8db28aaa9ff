package import Embeddings
import JSON
import Postgres

extension PostgresBatchStore {
    package func beginFile(named name: String) async throws(StorageError) -> FileID {
        let id = FileID.random()
        _ = try await query("INSERT INTO ovenbird.files (public_id, name) VALUES (\(id.description), \(name))")
        return id
    }

    package func append(_ bytes: [UInt8], as chunk: Int, to file: FileID) async throws(StorageError) {
        let rows = try await query(
            """
            WITH file AS (
                UPDATE ovenbird.files SET touched_at = clock_timestamp()
                WHERE public_id = \(file.description) AND completed_at IS NULL RETURNING id
            ), stored AS (
                INSERT INTO ovenbird.file_chunks (file_id, seq, bytes)
                SELECT file.id, \(Int32(clamping: chunk)), \(bytes) FROM file
                ON CONFLICT (file_id, seq) DO NOTHING
            )
            SELECT FROM file
            """, timeout: Self.longTimeout)
        guard !rows.isEmpty else { throw .unavailable(details: "the upload was taken for abandoned") }
    }

    package func completeFile(_ id: FileID, lifetime: Duration) async throws(StorageError) -> StoredFile? {
        _ = try await query(
            """
            UPDATE ovenbird.files AS f SET completed_at = clock_timestamp(), created_at = clock_timestamp(),
                expires_at = clock_timestamp() + \(sql: lifetime.interval),
                byte_count = (
                    SELECT coalesce(sum(octet_length(c.bytes)), 0) FROM ovenbird.file_chunks AS c
                    WHERE c.file_id = f.id)
            WHERE f.public_id = \(id.description) AND f.completed_at IS NULL
            """, timeout: Self.longTimeout)
        return try await file(id)
    }

    package func discardFile(_ id: FileID) async throws(StorageError) {
        _ = try await transaction(
            [
                """
                DELETE FROM ovenbird.file_chunks WHERE file_id = (
                    SELECT id FROM ovenbird.files WHERE public_id = \(id.description) AND completed_at IS NULL
                    FOR UPDATE)
                """,
                "DELETE FROM ovenbird.files WHERE public_id = \(id.description) AND completed_at IS NULL",
            ], timeout: Self.longTimeout)
    }

    package func file(_ id: FileID) async throws(StorageError) -> StoredFile? {
        try await files("WHERE f.public_id = \(id.description) AND \(sql: Self.isVisible)").first
    }

    package func files(_ query: FileQuery) async throws(StorageError) -> FilePage? {
        var place: Int64?
        if let after = query.after {
            guard
                let row = try await read(
                    "SELECT f.id FROM ovenbird.files AS f WHERE f.public_id = \(after.description)"
                ).first
            else { return nil }
            place = try await mapped { () throws(PostgresError) in try row.decode(0) }
        }
        let purpose: PostgresStatement =
            switch query.purpose {
            case nil: ""
            case .batch: "AND f.batch_id IS NULL"
            case .batchOutput: "AND f.batch_id IS NOT NULL"
            }
        let order: (comparison: PostgresStatement, direction: PostgresStatement) =
            query.order == .newestFirst ? ("<", "DESC") : (">", "ASC")
        let behind: PostgresStatement = place.map { "AND f.id \(sql: order.comparison) \($0)" } ?? ""
        let found = try await files(
            """
            WHERE \(sql: Self.isVisible) \(sql: purpose) \(sql: behind)
            ORDER BY f.id \(sql: order.direction) LIMIT \(query.limit + 1)
            """)
        return FilePage(files: Array(found.prefix(query.limit)), hasMore: found.count > query.limit)
    }

    package func deleteFile(_ id: FileID) async throws(StorageError) -> FileDeletion {
        let results = try await transaction(
            [
                // A batch that is being made holds the file's row; its own is seen by the statement after this one.
                "SELECT FROM ovenbird.files AS f WHERE f.public_id = \(id.description) FOR UPDATE",
                """
                SELECT public_id FROM ovenbird.batches WHERE input_file = \(id.description) AND status = 'validating'
                LIMIT 1
                """,
                """
                WITH file AS (
                    DELETE FROM ovenbird.files AS f WHERE f.public_id = \(id.description) AND \(sql: Self.isVisible)
                        AND NOT EXISTS (
                            SELECT FROM ovenbird.batches WHERE input_file = \(id.description) AND status = 'validating')
                    RETURNING f.id, f.batch_id
                ), content AS (
                    DELETE FROM ovenbird.file_chunks WHERE file_id = (SELECT id FROM file)
                ), requests AS (\(sql: Self.forgetUntoldRequests))
                SELECT FROM file
                """,
            ], timeout: Self.longTimeout)
        return try await mapped { () throws(PostgresError) in
            if !results[2].isEmpty { return .deleted }
            guard let user = results[1].first else { return .unknown }
            return .inUse(by: try user.word(0, BatchID.init))
        }
    }

    package func content(of file: FileID, chunk: Int) async throws(StorageError) -> [UInt8]? {
        let rows = try await read(
            """
            SELECT c.bytes FROM ovenbird.file_chunks AS c JOIN ovenbird.files AS f ON f.id = c.file_id
            WHERE f.public_id = \(file.description) AND f.completed_at IS NOT NULL AND c.seq = \(Int32(clamping: chunk))
            """)
        return try await mapped { () throws(PostgresError) in try rows.first?.decode(0) }
    }

    /// Drops the requests of a batch of which no file but `file` (id, batch_id) tells.
    static let forgetUntoldRequests: PostgresStatement = """
        DELETE FROM ovenbird.batch_requests AS r USING file
        WHERE r.batch_id = file.batch_id AND NOT EXISTS (
            SELECT FROM ovenbird.files AS other
            WHERE other.batch_id = file.batch_id AND other.id <> file.id AND other.expires_at > clock_timestamp())
        """

    static let isVisible: PostgresStatement = "f.completed_at IS NOT NULL AND f.expires_at > clock_timestamp()"

    private func files(_ clause: PostgresStatement) async throws(StorageError) -> [StoredFile] {
        let rows = try await read(
            """
            SELECT f.public_id, f.name, f.byte_count, f.created_at, f.expires_at, b.public_id, f.part
            FROM ovenbird.files AS f LEFT JOIN ovenbird.batches AS b ON b.id = f.batch_id \(sql: clause)
            """)
        return try await mapped { () throws(PostgresError) in
            var files: [StoredFile] = []
            for row in rows {
                var content = FileContent.uploaded
                if let batch = try row.optionalWord(5, BatchID.init) {
                    content = .view(of: batch, try row.word(6, BatchPart.init))
                }
                files.append(
                    StoredFile(
                        id: try row.word(0, FileID.init), content: content, name: try row.decode(1),
                        byteCount: try row.decode(2), createdAt: try row.moment(3), expiresAt: try row.timestamp(4)))
            }
            return files
        }
    }
}
