package import Embeddings
import JSON
import Postgres

extension PostgresDocumentStore {
    package func documentCount(in collection: DocumentCollection) async throws(StorageError) -> Int {
        try await run(in: collection) { tables throws(PostgresError) in
            let rows = try await pool.read("SELECT count(*) FROM \(sql: tables.documents)")
            guard let row = rows.first else { throw .decoding("a count without a row") }
            return try row.decode(0)
        }
    }

    package func document(
        id: String, in collection: DocumentCollection
    ) async throws(StorageError) -> StoredDocument? {
        try await documents(where: "WHERE external_id = \(id)", in: collection).first
    }

    package func documents(
        after id: String?, limit: Int, in collection: DocumentCollection
    ) async throws(StorageError) -> DocumentPage {
        let start: PostgresStatement = id.map { "WHERE external_id > \($0)" } ?? ""
        let found = try await documents(
            where: "\(sql: start) ORDER BY external_id LIMIT \(limit + 1)", in: collection)
        let documents = Array(found.prefix(limit))
        return DocumentPage(documents: documents, next: found.count > limit ? documents.last?.id : nil)
    }

    private func documents(
        where clause: PostgresStatement, in collection: DocumentCollection
    ) async throws(StorageError) -> [StoredDocument] {
        try await run(in: collection) { tables throws(PostgresError) in
            let rows = try await pool.read(
                """
                SELECT external_id, text, metadata, token_count, truncated FROM \(sql: tables.documents) \(sql: clause)
                """)
            var documents: [StoredDocument] = []
            for row in rows {
                documents.append(
                    StoredDocument(
                        id: try row.decode(0), text: try row.decode(1),
                        metadata: try JSONObject(stored: try row.decode(2)),
                        tokenCount: try row.decode(3), isTruncated: try row.decode(4)))
            }
            return documents
        }
    }

    package func deleteDocuments(
        _ selection: DocumentSelection, in collection: DocumentCollection
    ) async throws(StorageError) -> Int {
        // Many rows go in several short transactions: none outlasts its deadline, and what is gone stays gone.
        let batchSize = 5_000
        let condition: PostgresStatement =
            switch selection {
            case .ids(let ids): "d.external_id = ANY (\(ids))"
            case .filter(let filter): filter.sql
            }
        var total = 0
        while true {
            let deleted = try await run(in: collection) { tables throws(PostgresError) in
                // Locked in the order of the ids, as writers lock them.
                try await pool.query(
                    """
                    WITH doomed AS MATERIALIZED (
                        SELECT d.id FROM \(sql: tables.documents) AS d WHERE \(sql: condition)
                        ORDER BY d.external_id LIMIT \(batchSize) FOR UPDATE
                    )
                    DELETE FROM \(sql: tables.documents) AS d USING doomed WHERE d.id = doomed.id
                    """
                ).affectedRowCount
            }
            total += deleted
            if deleted < batchSize { return total }
        }
    }
}
