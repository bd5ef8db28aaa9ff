package import Embeddings
package import Postgres

/// Collections in PostgreSQL with pgvector. Every statement stands alone or in one transaction that is sent whole, and
/// nothing outlives it in the session, so a pooler between us and the server may lend sessions by the transaction.
package struct PostgresDocumentStore: DocumentStore {
    let pool: PostgresPool
    private let vectorExtension = VectorExtension.Cache()

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    package func unavailability() async -> StorageError? {
        do throws(PostgresError) {
            _ = try await pool.query("SELECT FROM ovenbird.collections LIMIT 1")
            return nil
        } catch {
            return StorageError(error)
        }
    }

    /// Runs work on a collection's tables; the work must bear being done twice, see `VectorExtension.Cache.run`.
    func run<Result>(
        in collection: DocumentCollection,
        _ work: (CollectionTables) async throws(PostgresError) -> Result
    ) async throws(StorageError) -> Result {
        do throws(PostgresError) {
            return try await vectorExtension.run(on: pool) { vectorExtension throws(PostgresError) in
                try await work(CollectionTables(of: collection, vectorExtension: vectorExtension))
            }
        } catch {
            throw StorageError(error, collection: collection.name)
        }
    }
}

/// What statements on one collection are made of.
struct CollectionTables: Sendable {
    let collectionID: Int64
    let documents: PostgresStatement
    let vectors: PostgresStatement
    let vectorExtension: VectorExtension

    init(of collection: DocumentCollection, vectorExtension: VectorExtension) {
        collectionID = collection.id
        documents = "ovenbird.documents_\(literal: Int(collection.id))"
        vectors = "ovenbird.vectors_\(literal: Int(collection.id))"
        self.vectorExtension = vectorExtension
    }
}
