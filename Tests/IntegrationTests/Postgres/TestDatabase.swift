import Foundation
import Postgres
import Testing

/// A database of its own for one test, on the server that `OVENBIRD_TEST_DATABASE_URL` names; dropped afterwards. Where
/// that is a pooler in transaction mode, `OVENBIRD_TEST_DIRECT_URL` names the server behind it.
struct TestDatabase: Sendable {
    /// What pools and stores use.
    let configuration: PostgresConfiguration
    /// The server itself: for migrations, and whatever else needs a session.
    let directConfiguration: PostgresConfiguration
    /// As `configuration`, for another process.
    let url: String

    /// Without the variable, tests that need a server are disabled, and say so. In continuous integration they run, and
    /// fail.
    static let isAvailable = url != nil || ProcessInfo.processInfo.environment["CI"] != nil

    static let explanation: Comment = "OVENBIRD_TEST_DATABASE_URL names no server"

    private static let url = ProcessInfo.processInfo.environment["OVENBIRD_TEST_DATABASE_URL"]
    private static let directURL = ProcessInfo.processInfo.environment["OVENBIRD_TEST_DIRECT_URL"]

    struct Unavailable: Error, CustomStringConvertible {
        var description: String { "OVENBIRD_TEST_DATABASE_URL is not set" }
    }

    /// Runs the body with a fresh database.
    static func with<R: Sendable>(_ body: (TestDatabase) async throws -> R) async throws -> R {
        guard let url else { throw Unavailable() }
        let (pooled, server) = try (PostgresConfiguration(url: url), PostgresConfiguration(url: directURL ?? url))
        let name = "ovenbird_test_" + String(UInt64.random(in: 0 ... .max), radix: 36)
        let administrator = try await PostgresConnection.open(server)
        _ = try await administrator.query("CREATE DATABASE \(identifier: name)", timeout: .seconds(60))
        let result: Result<R, any Error>
        do {
            let database = TestDatabase(
                configuration: pooled.withDatabase(name), directConfiguration: server.withDatabase(name),
                url: connectionString(url, database: name))
            result = .success(try await body(database))
        } catch {
            result = .failure(error)
        }
        _ = try await administrator.query(
            "DROP DATABASE \(identifier: name) WITH (FORCE)", timeout: .seconds(60))
        await administrator.close()
        return try result.get()
    }

    /// Of what a connection string says twice, the last counts.
    private static func connectionString(_ url: String, database: String) -> String {
        guard url.contains("://") else { return "\(url) dbname=\(database)" }
        return "\(url)\(url.contains("?") ? "&" : "?")dbname=\(database)"
    }

    /// Runs the body with one connection to a fresh database.
    static func withConnection<R: Sendable>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        try await with { database in
            let connection = try await database.connect()
            let result = try await body(connection)
            await connection.close()
            return result
        }
    }

    /// A session of the server itself.
    func connect() async throws -> PostgresConnection {
        try await PostgresConnection.open(directConfiguration)
    }
}
