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
/// Rows are locked in the order of their ids, so that racing calls queue up behind each other instead of blocking each
/// other for good; and a vector is only ever touched by who holds its document's lock, so text, metadata and vector come
/// from one call. (New ids can still meet in two orders; the server then ends one call, and it is done again.)
private struct WriteBatch {
    private struct Item {
        let index: Int
        let draft: DocumentDraft
        let hash: [UInt8]
        let metadata: JSONBText
    }

    private let items: [Item]
    private let embedded: [(item: Item, embedding: Embedding)]
    private let others: [Item]

    init(_ writes: [DocumentWrite]) {
        items = writes.enumerated().map { index, write in
            Item(
                index: index, draft: write.draft, hash: write.draft.contentHash, metadata: write.draft.metadata.jsonb)
        }
        embedded = zip(items, writes).compactMap { item, write in write.embedding.map { (item, $0) } }
        others = zip(items, writes).filter { $1.embedding == nil }.map(\.0)
    }

    func statements(on tables: CollectionTables) -> [PostgresStatement] {
        var statements: [PostgresStatement] = []
        if !others.isEmpty { statements.append(lockChanged(on: tables)) }
        if !embedded.isEmpty { statements.append(upsertEmbedded(on: tables)) }
        if !others.isEmpty { statements += [updateMetadata(on: tables), findUnchanged(on: tables)] }
        return statements
    }

    func outcomes(from results: [PostgresResult]) throws(PostgresError) -> [DocumentOutcome] {
        var outcomes = items.map { _ in DocumentOutcome.needsEmbedding }
        for (item, _) in embedded { outcomes[item.index] = .unchanged }
        var results = results[...]
        if !others.isEmpty { results.removeFirst() }
        if !embedded.isEmpty {
            for row in results.removeFirst() {
                let isNew: Bool = try row.decode(1)
                outcomes[embedded[try row.decode(0) - 1].item.index] = isNew ? .inserted : .updated
            }
        }
        if !others.isEmpty {
            let updated = results.removeFirst()
            for row in results.removeFirst() { outcomes[others[try row.decode(0) - 1].index] = .unchanged }
            for row in updated { outcomes[others[try row.decode(0) - 1].index] = .updated }
        }
        return outcomes
    }

    /// Where all writes bring an embedding, the upsert itself locks in order.
    private func lockChanged(on tables: CollectionTables) -> PostgresStatement {
        """
        SELECT FROM \(sql: tables.documents) AS d JOIN \(sql: input(items)) ON i.id = d.external_id
        WHERE d.content_sha256 <> i.hash OR d.metadata <> i.metadata
        ORDER BY d.external_id FOR NO KEY UPDATE OF d
        """
    }

    private func upsertEmbedded(on tables: CollectionTables) -> PostgresStatement {
        let items = embedded.map(\.item)
        let vectors = embedded.map { HalfVector(rounding: $0.embedding.vector) }
        return """
            WITH input AS MATERIALIZED (
                SELECT * FROM unnest(
                    \(items.map(\.draft.id)), \(items.map(\.draft.text)), \(items.map(\.hash)),
                    \(items.map(\.metadata)), \(embedded.map { Int32(clamping: $0.embedding.tokenCount) }),
                    \(embedded.map(\.embedding.isTruncated)), \(sql: tables.vectorExtension.parameter(vectors))
                ) WITH ORDINALITY AS i (id, text, hash, metadata, token_count, truncated, embedding, position)
            ), written AS (
                INSERT INTO \(sql: tables.documents) AS d
                    (external_id, text, content_sha256, metadata, token_count, truncated)
                SELECT id, text, hash, metadata, token_count, truncated FROM input ORDER BY id COLLATE "C"
                ON CONFLICT (external_id) DO UPDATE SET
                    text = excluded.text, content_sha256 = excluded.content_sha256, metadata = excluded.metadata,
                    token_count = excluded.token_count, truncated = excluded.truncated,
                    revision = d.revision + 1, updated_at = now()
                WHERE d.content_sha256 <> excluded.content_sha256 OR d.metadata <> excluded.metadata
                RETURNING d.id, d.external_id, d.revision
            ), embedded AS (
                INSERT INTO \(sql: tables.vectors) (document_id, embedding)
                SELECT w.id, i.embedding FROM written AS w JOIN input AS i ON i.id = w.external_id
                ON CONFLICT (document_id) DO UPDATE SET embedding = excluded.embedding
            )
            SELECT i.position, w.revision = 1 FROM written AS w JOIN input AS i ON i.id = w.external_id
            """
    }

    private func updateMetadata(on tables: CollectionTables) -> PostgresStatement {
        """
        UPDATE \(sql: tables.documents) AS d
        SET metadata = i.metadata, revision = d.revision + 1, updated_at = now()
        FROM \(sql: input(others))
        WHERE d.external_id = i.id AND d.content_sha256 = i.hash AND d.metadata <> i.metadata
        RETURNING i.position
        """
    }

    /// Those that the database now holds as they were sent, just updated or before.
    private func findUnchanged(on tables: CollectionTables) -> PostgresStatement {
        """
        SELECT i.position FROM \(sql: tables.documents) AS d JOIN \(sql: input(others)) ON i.id = d.external_id
        WHERE d.content_sha256 = i.hash AND d.metadata = i.metadata
        """
    }

    private func input(_ items: [Item]) -> PostgresStatement {
        """
        unnest(\(items.map(\.draft.id)), \(items.map(\.hash)), \(items.map(\.metadata)))
            WITH ORDINALITY AS i (id, hash, metadata, position)
        """
    }
}

extension DocumentDraft {
    /// SHA-256 of the text's UTF-8, 32 bytes.
    fileprivate var contentHash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}
