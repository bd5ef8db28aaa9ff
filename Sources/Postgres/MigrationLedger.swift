/// One entry of the ledger.
struct AppliedMigration: Sendable, Equatable {
    var version: Int
    var label: String
    var checksum: [UInt8]
    var oldestBinary: Int
    /// False while a no-transaction migration is under way, and after one was cut off.
    var isComplete: Bool
}

/// The table of applied migrations.
struct MigrationLedger: Sendable {
    let schema: String

    /// Creates what is missing of it. Asks first, since `IF NOT EXISTS` needs the right to create even where there is
    /// nothing to do.
    func create(on connection: PostgresConnection) async throws(MigrationError) {
        do throws(PostgresError) {
            let answer = try await connection.query(
                "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = \(schema))")
            if try answer.first?.decode(0, as: Bool.self) != true {
                _ = try await connection.query("CREATE SCHEMA IF NOT EXISTS \(identifier: schema)")
            }
            guard try await !exists(on: connection) else { return }
            _ = try await connection.query(
                """
                CREATE TABLE IF NOT EXISTS \(identifier: schema).migrations (
                    version integer PRIMARY KEY,
                    label text NOT NULL,
                    checksum bytea NOT NULL,
                    oldest_binary integer NOT NULL,
                    is_complete boolean NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
                )
                """)
        } catch {
            throw .database(error)
        }
    }

    /// The entries in order; nil where there is no ledger.
    func read(on connection: PostgresConnection) async throws(MigrationError) -> [AppliedMigration]? {
        do throws(PostgresError) {
            guard try await exists(on: connection) else { return nil }
            let answer = try await connection.query(
                """
                SELECT version, label, checksum, oldest_binary, is_complete
                FROM \(identifier: schema).migrations ORDER BY version
                """)
            var entries: [AppliedMigration] = []
            for row in answer {
                entries.append(
                    AppliedMigration(
                        version: try row.decode(0), label: try row.decode(1), checksum: try row.decode(2),
                        oldestBinary: try row.decode(3), isComplete: try row.decode(4)))
            }
            return entries
        } catch {
            throw .database(error)
        }
    }

    /// Records a migration, over what was recorded of it when it was begun.
    func insertion(of migration: Migration, isComplete: Bool) -> PostgresStatement {
        """
        INSERT INTO \(identifier: schema).migrations (version, label, checksum, oldest_binary, is_complete)
        VALUES (\(Int32(migration.version)), \(migration.label), \(migration.checksum),
            \(Int32(migration.oldestBinary)), \(isComplete))
        ON CONFLICT (version) DO UPDATE SET label = excluded.label, checksum = excluded.checksum,
            oldest_binary = excluded.oldest_binary, is_complete = excluded.is_complete,
            applied_at = excluded.applied_at
        """
    }

    private func exists(on connection: PostgresConnection) async throws(PostgresError) -> Bool {
        let name = PostgresStatement.quotedIdentifier(schema) + ".migrations"
        return try await connection.query("SELECT to_regclass(\(name)) IS NOT NULL").first?.decode(0) ?? false
    }
}
