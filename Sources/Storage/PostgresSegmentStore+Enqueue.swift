package import Embeddings
import Postgres

extension PostgresSegmentStore {
    package func gatherEnqueued(
        for fingerprint: ModelFingerprint, limit: Int
    ) async throws(StorageError) -> Int {
        do throws(PostgresError) {
            let rows = try await pool.query(
                "SELECT ovenbird.gather_enqueued(\(fingerprint.bytes), \(Int32(clamping: limit)))")
            guard let row = rows.first else { throw .decoding("no answer from gather_enqueued") }
            return try row.decode(0)
        } catch {
            throw StorageError(error)
        }
    }
}
