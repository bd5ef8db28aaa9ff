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

    /// Runs work on a collection's tables. It is done again, a few times at most, where the server undid it for the sake
    /// of another transaction, and where pgvector's types are not (or no longer) what we took them for; the work must
    /// bear being done twice.
    func run<Result>(
        in collection: DocumentCollection,
        _ work: (CollectionTables) async throws(PostgresError) -> Result
    ) async throws(StorageError) -> Result {
        var attemptsLeft = 3
        while true {
            attemptsLeft -= 1
            do throws(PostgresError) {
                let vectorExtension = try await vectorExtension.value(from: pool)
                return try await work(CollectionTables(of: collection, vectorExtension: vectorExtension))
            } catch {
                switch error.code {
                // serialization_failure, deadlock_detected
                case "40001", "40P01": break
                // undefined_object, undefined_function, datatype_mismatch, invalid_schema_name, and the internal error
                // of a type that went while it was looked up
                case "42704", "42883", "42804", "3F000", "XX000": vectorExtension.forget()
                default: attemptsLeft = 0
                }
                guard attemptsLeft > 0 else { throw StorageError(error, collection: collection.name) }
            }
        }
    }
}

/// What statements on one collection are made of.
struct CollectionTables: Sendable {
    let documents: PostgresStatement
    let vectors: PostgresStatement
    let vectorExtension: VectorExtension

    init(of collection: DocumentCollection, vectorExtension: VectorExtension) {
        documents = "ovenbird.documents_\(literal: Int(collection.id))"
        vectors = "ovenbird.vectors_\(literal: Int(collection.id))"
        self.vectorExtension = vectorExtension
    }
}
