import Embeddings
import Logging
import Postgres
import Storage

/// Where documents and jobs are kept: nowhere, in memory, or in PostgreSQL.
struct StorageChoice: Sendable {
    let kind: String
    let store: (any DocumentStore)?
    let jobs: (any JobStore)?
    /// OpenAI's files and batches, beside the jobs that they become.
    var batches: (batches: any BatchStore, jobs: any JobStore)? {
        guard let batchStore, let jobs else { return nil }
        return (batchStore, jobs)
    }
    private let batchStore: (any BatchStore)?
    /// What the job runner works on.
    let segments: (any SegmentStore)?
    /// Waits for a database that could not be reached at the start.
    let gate: DatabaseGate?
    private let pools: [PostgresPool]

    /// Looks at the database once. One that does not answer stops nothing; one that answers and cannot be used ends the
    /// program with the command that mends it.
    ///
    /// - Parameter jobConnections: of the job runner, which has a pool of its own: a crowd of requests must not hold up
    ///   its heartbeats, nor a long finish a search.
    init(_ options: DatabaseOptions, jobConnections: Int, migrates: Bool, logger: Logger) async throws {
        switch options.databaseUrl {
        case nil:
            (kind, store, jobs, segments, batchStore, gate, pools) = ("none", nil, nil, nil, nil, nil, [])
        case "memory:":
            logger.warning("Documents and jobs are kept in memory and are lost when the server stops")
            let documents = MemoryDocumentStore()
            let memory = MemoryJobStore(documents: documents)
            (kind, store, jobs, segments, gate, pools) = ("memory", documents, memory, memory, nil, [])
            batchStore = MemoryBatchStore(jobs: memory)
        case .some(let url):
            let configuration = try options.configuration(url: url)
            let pool = PostgresPool(configuration: configuration)
            var jobConfiguration = configuration
            jobConfiguration.maximumConnections = max(1, jobConnections)
            let jobPool = PostgresPool(configuration: jobConfiguration)
            let database = Database(pool: pool, migrates: migrates, logger: logger)
            let isReady = try await database.prepare()
            kind = "postgresql"
            store = PostgresDocumentStore(pool: pool)
            jobs = PostgresJobStore(pool: pool)
            segments = PostgresSegmentStore(pool: jobPool)
            batchStore = PostgresBatchStore(pool: pool)
            gate = isReady ? nil : DatabaseGate(database: database)
            pools = [pool, jobPool]
        }
    }

    func close() async {
        for pool in pools { await pool.close() }
    }
}
