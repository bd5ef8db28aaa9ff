import Embeddings
package import Postgres

/// Files and batches in PostgreSQL. A batch's lease is fenced by its token: every write of a worker names it.
package struct PostgresBatchStore: BatchStore {
    let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    func query(_ statement: PostgresStatement, timeout: Duration? = nil) async throws(StorageError) -> PostgresResult {
        try await mapped { () async throws(PostgresError) in try await pool.query(statement, timeout: timeout) }
    }

    func read(_ statement: PostgresStatement) async throws(StorageError) -> PostgresResult {
        try await mapped { () async throws(PostgresError) in try await pool.read(statement) }
    }

    /// Bounded on the server too: what we gave up on must not hold its locks.
    func transaction(
        _ statements: [PostgresStatement], timeout: Duration? = nil
    ) async throws(StorageError) -> [PostgresResult] {
        try await mapped { () async throws(PostgresError) in
            try await pool.transaction(statements, timeout: timeout, limits: .followingClient)
        }
    }

    func mapped<Result>(
        _ work: () async throws(PostgresError) -> Result
    ) async throws(StorageError) -> Result {
        do throws(PostgresError) {
            return try await work()
        } catch {
            throw StorageError(error)
        }
    }

    /// Statements over many rows, or a file's content, may take this long.
    static let longTimeout = Duration.seconds(15)
}

extension PostgresRow {
    func timestamp(_ column: Int) throws(PostgresError) -> Timestamp? {
        try decode(column, as: PostgresTimestamp?.self).map(Timestamp.init)
    }

    func moment(_ column: Int) throws(PostgresError) -> Timestamp {
        Timestamp(try decode(column, as: PostgresTimestamp.self))
    }

    /// Text that one of our own types reads.
    func word<Word>(_ column: Int, _ read: (String) -> Word?) throws(PostgresError) -> Word {
        let text: String = try decode(column)
        guard let word = read(text) else { throw .decoding("'\(text)', which is no \(Word.self)") }
        return word
    }

    func optionalWord<Word>(_ column: Int, _ read: (String) -> Word?) throws(PostgresError) -> Word? {
        bytes(column) == nil ? nil : try word(column, read)
    }
}

extension PostgresTimestamp {
    init(_ moment: Timestamp) {
        self.init(microsecondsSinceUnixEpoch: moment.microsecondsSinceUnixEpoch)
    }
}
