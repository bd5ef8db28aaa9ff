import Crypto
package import Embeddings
import JSON
import Postgres

extension PostgresDocumentStore {
    package func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) async throws(StorageError) -> [Int] {
        guard !drafts.isEmpty else { return [] }
        let ids = drafts.map(\.id)
        let hashes = drafts.map(\.contentHash)
        return try await run(in: collection) { tables throws(PostgresError) in
            let rows = try await pool.read(
                """
                SELECT i.position FROM unnest(\(ids), \(hashes)) WITH ORDINALITY AS i (id, hash, position)
                LEFT JOIN \(sql: tables.documents) AS d ON d.external_id = i.id
                WHERE d.content_sha256 IS DISTINCT FROM i.hash ORDER BY i.position
                """)
            var indexes: [Int] = []
            for row in rows { indexes.append(try row.decode(0, as: Int.self) - 1) }
            return indexes
        }
    }

    package func write(
        _ writes: [DocumentWrite], to collection: DocumentCollection
    ) async throws(StorageError) -> [DocumentOutcome] {
        guard !writes.isEmpty else { return [] }
        let batch = WriteBatch(writes)
        return try await run(in: collection) { tables throws(PostgresError) in
            let results = try await pool.transaction(batch.statements(on: tables))
            return try batch.outcomes(from: results)
        }
    }
}

/// The writes of one call as the statements of one transaction.
///
/// One statement takes every row's lock, in the order of the ids, as deletions do too: racing calls queue up behind each
/// other and never block each other for good. A vector is only ever touched by who holds its document's lock, so text,
/// metadata and vector come from one call.
///
/// Every write of text takes a new version under that lock, so it is later than all that was written, or sent to a job,
/// before. While jobs of the collection are unfinished, that holds even for a write that changes nothing: else an input
/// sent before it would overtake it.
///
/// Writes without an embedding go through the same statement, marked by revision 0. Such a row can be new only where its
/// document was deleted in this very moment; it is taken out again before anyone sees it.
private struct WriteBatch {
    private let drafts: [DocumentDraft]
    private let embeddings: [Embedding?]
    private let hashes: [[UInt8]]
    private let metadata: [JSONBText]

    init(_ writes: [DocumentWrite]) {
        drafts = writes.map(\.draft)
        embeddings = writes.map(\.embedding)
        hashes = writes.map(\.draft.contentHash)
        metadata = writes.map(\.draft.metadata.jsonb)
    }

    func statements(on tables: CollectionTables) -> [PostgresStatement] {
        let upsert = upsert(on: tables)
        guard embeddings.contains(nil) else { return [upsert] }
        return [upsert, removeUnembedded(from: tables), findUnchanged(in: tables)]
    }

    func outcomes(from results: [PostgresResult]) throws(PostgresError) -> [DocumentOutcome] {
        var outcomes = embeddings.map { $0 == nil ? DocumentOutcome.needsEmbedding : .unchanged }
        if results.count > 2 {
            for row in results[2] { outcomes[try row.decode(0) - 1] = .unchanged }
        }
        for row in results[0] {
            let position: Int = try row.decode(0)
            switch try (row.decode(1, as: Int.self), row.decode(2, as: Bool.self)) {
            case (0, _): outcomes[position - 1] = .needsEmbedding
            case (_, false): outcomes[position - 1] = .unchanged
            case (1, _): outcomes[position - 1] = .inserted
            default: outcomes[position - 1] = .updated
            }
        }
        return outcomes
    }

    private func upsert(on tables: CollectionTables) -> PostgresStatement {
        """
        WITH input AS MATERIALIZED (
            SELECT * FROM unnest(
                \(drafts.map(\.id)), \(drafts.map(\.text)), \(hashes), \(metadata),
                \(embeddings.map { Int32(clamping: $0?.tokenCount ?? 0) }),
                \(embeddings.map { $0?.isTruncated ?? false }),
                \(sql: tables.vectorExtension.parameter(embeddings.map { $0?.vector }))
            ) WITH ORDINALITY AS i (id, text, hash, metadata, token_count, truncated, embedding, position)
        ), collection AS MATERIALIZED (
            SELECT ovenbird.has_unfinished_jobs(\(tables.collectionID)) AS is_awaiting_others
        ), written AS (
            INSERT INTO \(sql: tables.documents) AS d
                (external_id, text, content_sha256, metadata, token_count, truncated, revision)
            SELECT i.id, i.text, i.hash, i.metadata, i.token_count, i.truncated, (i.embedding IS NOT NULL)::int
            FROM input AS i, collection AS c
            WHERE i.embedding IS NOT NULL OR EXISTS (
                SELECT FROM \(sql: tables.documents) AS d
                WHERE d.external_id = i.id AND d.content_sha256 = i.hash
                    AND (d.metadata <> i.metadata OR c.is_awaiting_others))
            ORDER BY i.id COLLATE "C"
            ON CONFLICT (external_id) DO UPDATE SET
                text = CASE excluded.revision WHEN 0 THEN d.text ELSE excluded.text END,
                content_sha256 = excluded.content_sha256,
                metadata = excluded.metadata,
                token_count = CASE excluded.revision WHEN 0 THEN d.token_count ELSE excluded.token_count END,
                truncated = CASE excluded.revision WHEN 0 THEN d.truncated ELSE excluded.truncated END,
                version = nextval('ovenbird.document_versions'),
                revision = d.revision + (\(sql: Self.isChanged))::int,
                updated_at = CASE WHEN \(sql: Self.isChanged) THEN now() ELSE d.updated_at END
            WHERE CASE excluded.revision
                WHEN 0 THEN d.content_sha256 = excluded.content_sha256
                    AND (d.metadata <> excluded.metadata OR (SELECT c.is_awaiting_others FROM collection AS c))
                ELSE \(sql: Self.isChanged) OR (SELECT c.is_awaiting_others FROM collection AS c) END
            RETURNING d.id, d.external_id, d.revision, d.updated_at = now() AS is_changed
        ), embedded AS (
            INSERT INTO \(sql: tables.vectors) (document_id, embedding)
            SELECT w.id, i.embedding FROM written AS w JOIN input AS i ON i.id = w.external_id
            WHERE i.embedding IS NOT NULL AND w.is_changed
            ON CONFLICT (document_id) DO UPDATE SET embedding = excluded.embedding
        )
        SELECT i.position, w.revision, w.is_changed FROM written AS w JOIN input AS i ON i.id = w.external_id
        """
    }

    /// Whether a row differs from the one that was to be inserted in its place.
    private static let isChanged: PostgresStatement =
        "d.content_sha256 <> excluded.content_sha256 OR d.metadata <> excluded.metadata"

    /// Those that the upsert made without a vector. Nobody else has seen them, and no finished row has revision 0.
    private func removeUnembedded(from tables: CollectionTables) -> PostgresStatement {
        let ids = zip(drafts, embeddings).filter { $1 == nil }.map(\.0.id)
        return "DELETE FROM \(sql: tables.documents) AS d WHERE d.external_id = ANY (\(ids)) AND d.revision = 0"
    }

    /// Those without an embedding that the database now holds as they were sent, just updated or before.
    private func findUnchanged(in tables: CollectionTables) -> PostgresStatement {
        """
        SELECT i.position FROM \(sql: tables.documents) AS d
        JOIN unnest(\(drafts.map(\.id)), \(hashes), \(metadata), \(embeddings.map { $0 != nil }))
            WITH ORDINALITY AS i (id, hash, metadata, is_embedded, position) ON i.id = d.external_id
        WHERE NOT i.is_embedded AND d.content_sha256 = i.hash AND d.metadata = i.metadata
        """
    }
}

extension DocumentDraft {
    /// SHA-256 of the text's UTF-8, 32 bytes.
    fileprivate var contentHash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}
