/// One connection to the server.
package actor PostgresConnection {
    init() {}

    /// Opens a connection outside any pool.
    package static func open(_ configuration: PostgresConfiguration) async throws(PostgresError) -> PostgresConnection {
        throw .unavailable("not yet")
    }

    /// The server's version as 10000 × major + minor.
    package var serverVersion: Int { 0 }

    /// Runs one statement (extended protocol, unnamed, binary results).
    ///
    /// - Parameter timeout: instead of the configuration's `commandTimeout`.
    package func query(
        _ statement: PostgresStatement, timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        throw .unavailable("not yet")
    }

    /// Runs the statements between BEGIN and COMMIT in one pipeline, one round trip; an error rolls all of them back.
    /// One result a statement.
    package func transaction(
        _ statements: [PostgresStatement], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        throw .unavailable("not yet")
    }

    /// Runs SQL text of any number of statements (simple protocol); results are dropped.
    package func script(_ sql: String, timeout: Duration? = nil) async throws(PostgresError) {
        throw .unavailable("not yet")
    }

    /// Closes it; every later call throws `unavailable`.
    package func close() async {}
}
