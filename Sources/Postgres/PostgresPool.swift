/// Lends connections, opened when first needed.
package final class PostgresPool: Sendable {
    package let configuration: PostgresConfiguration

    package init(configuration: PostgresConfiguration) {
        self.configuration = configuration
    }

    /// Lends a connection for the body's time.
    package func withConnection<R: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> R
    ) async throws(PostgresError) -> R {
        throw .unavailable("not yet")
    }

    /// Runs one statement on any connection.
    package func query(
        _ statement: PostgresStatement, timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        try await withConnection { connection async throws(PostgresError) in
            try await connection.query(statement, timeout: timeout)
        }
    }

    /// Runs a statement that changes nothing; where the connection is lost under it, once more on another.
    package func read(
        _ statement: PostgresStatement, timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        try await query(statement, timeout: timeout)
    }

    /// Runs the statements in one transaction. It is never repeated: where it ends with `unavailable` or `cancelled`, it
    /// may have been committed.
    package func transaction(
        _ statements: [PostgresStatement], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        try await withConnection { connection async throws(PostgresError) in
            try await connection.transaction(statements, timeout: timeout)
        }
    }

    /// Refuses new callers, and returns once every connection is back and closed.
    package func close() async {}
}
