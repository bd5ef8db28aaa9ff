import ArgumentParser
import Foundation
import Logging
import Postgres
import Storage

/// `ovenbird migrate`: brings the database's schema up to date.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Brings the database's schema up to date, forward only.",
        discussion: "Running it again, or from several places at once, is safe.")

    @Option(help: "PostgreSQL 15 or newer with pgvector 0.7 or newer, as a libpq URL.")
    var databaseUrl: String

    @Flag(
        help: """
            Also make the roles ovenbird_reader, who may read the collections' views, and ovenbird_writer, who may call \
            ovenbird.enqueue besides; once more, it sets their rights anew. Only this needs the right to create roles.
            """)
    var roles = false

    @OptionGroup var log: LogOptions

    func run() async throws {
        log.bootstrap()
        guard databaseUrl != "memory:" else {
            throw CommandFailure.usage("--database-url memory: has no schema to migrate")
        }
        var configuration = try configuration()
        configuration.maximumConnections = 1
        let pool = PostgresPool(configuration: configuration)
        let database = Database(pool: pool, migrates: true, logger: Logger(label: "ovenbird"))
        guard case .ready = try await ready(database), let applied = try await database.migrate() else {
            throw CommandFailure.failed("the database does not answer; nothing was changed that it did not confirm")
        }
        print(applied.isEmpty ? "nothing to do" : "applied \(applied.joined(separator: ", "))")
        if roles {
            try await applyRoles(on: pool)
            print("roles \(DatabaseRoles.reader) and \(DatabaseRoles.writer) are there")
        }
        await pool.close()
    }

    private func applyRoles(on pool: PostgresPool) async throws {
        do throws(PostgresError) {
            try await pool.withConnection { connection throws(PostgresError) in
                try await DatabaseRoles.apply(on: connection)
            }
        } catch {
            throw CommandFailure.failed("the roles could not be made: \(error.debugDescription)")
        }
    }

    private func configuration() throws(CommandFailure) -> PostgresConfiguration {
        do { return try PostgresConfiguration(url: databaseUrl) } catch { throw .usage("--database-url: \(error)") }
    }

    private func ready(_ database: Database) async throws -> ServerCheck {
        let check = await ServerCheck.runBeforeMigration(on: database.pool)
        switch check {
        case .ready: return check
        case .outOfReach(let details): throw CommandFailure.failed("the database does not answer: \(details)")
        case .refused(let reason): throw CommandFailure.failed(reason)
        }
    }
}
