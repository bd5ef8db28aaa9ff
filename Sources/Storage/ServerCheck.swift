package import Postgres

/// What a program that is about to use a database finds there.
package enum ServerCheck: Sendable, Equatable {
    /// It can be used; the warnings are for the log.
    case ready(warnings: [String])
    /// It did not answer. It may later, so this is no reason not to start.
    case outOfReach(details: String)
    /// It answered, and cannot be used until somebody does what the reason says. The reason names the command, and no
    /// secret.
    case refused(reason: String)

    /// Looks at the server, at pgvector and at the schema.
    package static func run(on pool: PostgresPool) async -> ServerCheck {
        do throws(PostgresError) {
            return try await pool.withConnection { connection throws(PostgresError) in
                let warnings: [String]
                switch try await ServerDescription.read(from: connection).verdict(wantsExtension: true) {
                case .refused(let reason): return .refused(reason: reason)
                case .usable(let found): warnings = found
                }
                do throws(MigrationError) {
                    return try await SchemaMigrations.migrator().check(on: connection).verdict(warnings: warnings)
                } catch {
                    if case .database(let error) = error { throw error }
                    return .refused(reason: error.description)
                }
            }
        } catch {
            return error.verdict
        }
    }

    /// Looks at what must hold before the schema can be made: the server's version and encoding, and that pgvector, where
    /// it is there, is new enough. Whether it can be added is for the migration to find out.
    package static func runBeforeMigration(on pool: PostgresPool) async -> ServerCheck {
        do throws(PostgresError) {
            return try await pool.withConnection { connection throws(PostgresError) in
                switch try await ServerDescription.read(from: connection).verdict(wantsExtension: false) {
                case .refused(let reason): .refused(reason: reason)
                case .usable(let warnings): .ready(warnings: warnings)
                }
            }
        } catch {
            return error.verdict
        }
    }
}

extension PostgresError {
    fileprivate var verdict: ServerCheck {
        switch self {
        case .unavailable, .cancelled: .outOfReach(details: debugDescription)
        case .server(let error): .refused(reason: "the database refused us: \(error.message) (SQLSTATE \(error.code))")
        case .decoding: .refused(reason: description)
        case .configuration(let reason): .refused(reason: reason)
        }
    }
}

extension SchemaState {
    fileprivate func verdict(warnings: [String]) -> ServerCheck {
        switch self {
        case .current: .ready(warnings: warnings)
        case .newerAllowed:
            .ready(warnings: warnings + ["the database's schema is newer than this binary, which it still allows"])
        case .absent:
            .refused(reason: "the database has no schema yet; \(Self.command)")
        case .behind(let migrations):
            .refused(
                reason: "the database lacks the migrations \(migrations.joined(separator: ", ")); \(Self.command)")
        case .interrupted(let migration):
            .refused(reason: "the migration \(migration) was interrupted; \(Self.command)")
        case .newerRefused(let oldestBinary):
            .refused(
                reason: """
                    the database's schema is newer than this binary: it needs one of generation \(oldestBinary), this is \
                    \(SchemaMigrations.binaryGeneration); install a newer ovenbird
                    """)
        case .drifted(let migration):
            .refused(
                reason: """
                    the migration \(migration) was applied with another text than this binary's; run the binary that \
                    applied it, or `ovenbird migrate --database-url URL` on a new database
                    """)
        }
    }

    private static var command: String { "run `ovenbird migrate --database-url URL` (URL being this database's)" }
}
