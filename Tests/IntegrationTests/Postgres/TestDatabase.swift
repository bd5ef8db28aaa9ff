import Foundation
import Postgres
import Testing

/// A database of its own for one test, on the server that `OVENBIRD_TEST_DATABASE_URL` names; dropped afterwards.
struct TestDatabase: Sendable {
    let configuration: PostgresConfiguration

    /// Without the variable, tests that need a server are disabled, and say so. In continuous integration they run, and
    /// fail.
    static let isAvailable = url != nil || ProcessInfo.processInfo.environment["CI"] != nil

    static let explanation: Comment = "OVENBIRD_TEST_DATABASE_URL names no server"

    private static let url = ProcessInfo.processInfo.environment["OVENBIRD_TEST_DATABASE_URL"]

    struct Unavailable: Error, CustomStringConvertible {
        var description: String { "OVENBIRD_TEST_DATABASE_URL is not set" }
    }

    /// The server's administrative database.
    static func serverConfiguration() throws -> PostgresConfiguration {
        guard let url else { throw Unavailable() }
        return try PostgresConfiguration(url: url)
    }

    /// Runs the body with a fresh database.
    static func with<R: Sendable>(_ body: (TestDatabase) async throws -> R) async throws -> R {
        let server = try serverConfiguration()
        let name = "ovenbird_test_" + String(UInt64.random(in: 0 ... .max), radix: 36)
        let administrator = try await PostgresConnection.open(server)
        _ = try await administrator.query("CREATE DATABASE \(identifier: name)", timeout: .seconds(60))
        let result: Result<R, any Error>
        do {
            result = .success(try await body(TestDatabase(configuration: server.withDatabase(name))))
        } catch {
            result = .failure(error)
        }
        _ = try await administrator.query(
            "DROP DATABASE \(identifier: name) WITH (FORCE)", timeout: .seconds(60))
        await administrator.close()
        return try result.get()
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

    func connect() async throws -> PostgresConnection {
        try await PostgresConnection.open(configuration)
    }
}
