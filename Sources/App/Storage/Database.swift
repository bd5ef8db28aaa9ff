import Jobs
import Logging
import Postgres
import ServiceLifecycle
import Storage

/// A database as a command meets it: to be checked, and to be migrated where it was asked to.
struct Database: Sendable {
    let pool: PostgresPool
    let migrates: Bool
    let logger: Logger

    /// Answers whether the database can be used now; false where it does not answer.
    ///
    /// - Throws: `CommandFailure` where it answers and cannot be used.
    func prepare() async throws -> Bool {
        if migrates {
            guard try isUsable(await ServerCheck.runBeforeMigration(on: pool)) else { return false }
            guard let applied = try await migrate() else { return false }
            logger.info("Schema is current", metadata: ["applied": "\(applied.joined(separator: ", "))"])
        }
        return try isUsable(await ServerCheck.run(on: pool))
    }

    /// The migrations that were applied; nil where the database stopped answering.
    func migrate() async throws -> [String]? {
        let outcome: Result<[String], MigrationError>
        do throws(PostgresError) {
            outcome = try await pool.withConnection { connection throws(PostgresError) in
                do throws(MigrationError) {
                    return .success(try await SchemaMigrations.migrator().migrate(on: connection))
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            return try unreachable(error)
        }
        switch outcome {
        case .success(let applied): return applied
        case .failure(.database(let error)): return try unreachable(error)
        case .failure(let error): throw CommandFailure.failed("the migration failed: \(error.debugDescription)")
        }
    }

    private func unreachable(_ error: PostgresError) throws -> [String]? {
        switch error {
        case .unavailable, .cancelled:
            logger.warning("The database does not answer", metadata: ["reason": "\(error.debugDescription)"])
            return nil
        case .server, .decoding, .configuration:
            throw CommandFailure.failed("the migration failed: \(error.debugDescription)")
        }
    }

    private func isUsable(_ check: ServerCheck) throws -> Bool {
        switch check {
        case .ready(let warnings):
            for warning in warnings { logger.warning("The database is usable", metadata: ["but": "\(warning)"]) }
            return true
        case .outOfReach(let details):
            logger.warning("The database does not answer", metadata: ["reason": "\(details)"])
            return false
        case .refused(let reason):
            throw CommandFailure.failed(reason)
        }
    }
}

/// Asks a database that did not answer at the start until it does; ends the server where it then cannot be used.
struct DatabaseGate: Service, CustomStringConvertible {
    let database: Database
    /// Rung once the database has been found usable.
    let opened = JobBell()

    var description: String { "database gate" }

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                repeat {
                    try await Task.sleep(for: .seconds(2))
                } while try await !database.prepare()
                database.logger.info("The database answers")
                opened.ring()
                // A service that returns ends the others.
                try await Task.sleep(for: .seconds(Int64.max / 2))
            }
        } catch is CancellationError {
            // The server is stopping, as it was asked to: no failure.
        }
    }
}
