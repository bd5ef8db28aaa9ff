package import Embeddings
import Postgres

extension PostgresBatchStore {
    package func maintain(abandonedUploads: Duration) async throws(StorageError) -> Bool {
        // A file at a time: of one of 200 MB the content alone is 800 rows and a hundred thousand pieces beside them.
        let results = try await transaction(
            [
                """
                WITH file AS MATERIALIZED (
                    SELECT f.id FROM ovenbird.files AS f
                    WHERE f.completed_at IS NULL
                        AND f.touched_at < clock_timestamp() - \(sql: abandonedUploads.interval)
                    LIMIT 1 FOR UPDATE SKIP LOCKED
                ), content AS (
                    DELETE FROM ovenbird.file_chunks WHERE file_id = (SELECT id FROM file)
                )
                DELETE FROM ovenbird.files AS f USING file WHERE f.id = file.id
                """,
                """
                WITH file AS MATERIALIZED (
                    SELECT f.id, f.batch_id FROM ovenbird.files AS f
                    WHERE f.completed_at IS NOT NULL AND f.expires_at <= clock_timestamp()
                        AND NOT EXISTS (
                            SELECT FROM ovenbird.batches AS b
                            WHERE b.input_file = f.public_id AND b.status = 'validating')
                    LIMIT 1 FOR UPDATE SKIP LOCKED
                ), content AS (
                    DELETE FROM ovenbird.file_chunks WHERE file_id = (SELECT id FROM file)
                ), requests AS (\(sql: Self.forgetUntoldRequests))
                DELETE FROM ovenbird.files AS f USING file WHERE f.id = file.id
                """,
            ], timeout: Self.longTimeout)
        return results.contains { $0.affectedRowCount > 0 }
    }
}
