import Embeddings
import Logging
import Postgres
import Storage

/// Where `serve` keeps documents: nowhere, in memory, or in PostgreSQL.
struct StorageChoice: Sendable {
    let kind: String
    let store: (any DocumentStore)?
    /// Waits for a database that could not be reached at the start.
    let gate: DatabaseGate?
    private let pool: PostgresPool?

    /// Looks at the database once. One that does not answer stops nothing; one that answers and cannot be used ends the
    /// program with the command that mends it.
    init(_ options: DatabaseOptions, migrates: Bool, logger: Logger) async throws {
        switch options.databaseUrl {
        case nil:
            (kind, store, gate, pool) = ("none", nil, nil, nil)
        case "memory:":
            logger.warning("Documents are kept in memory and are lost when the server stops")
            (kind, store, gate, pool) = ("memory", MemoryDocumentStore(), nil, nil)
        case .some(let url):
            let pool = PostgresPool(configuration: try options.configuration(url: url))
            let database = Database(pool: pool, migrates: migrates, logger: logger)
            let isReady = try await database.prepare()
            kind = "postgresql"
            store = PostgresDocumentStore(pool: pool)
            gate = isReady ? nil : DatabaseGate(database: database)
            self.pool = pool
        }
    }

    func close() async {
        await pool?.close()
    }
}
