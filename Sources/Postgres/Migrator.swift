/// What a database's schema is to this binary.
package enum SchemaState: Sendable, Equatable {
    /// Every migration is applied, and none that this binary does not know.
    case current
    /// No migration was ever applied.
    case absent
    /// These are not applied yet, in order.
    case behind([String])
    /// There are migrations that this binary does not know, and they allow it to run.
    case newerAllowed
    /// There are migrations that this binary does not know, and they do not.
    case newerRefused(oldestBinary: Int)
    /// This one was applied with another text.
    case drifted(String)
    /// This no-transaction migration was begun and did not end; migrating again repairs it.
    case interrupted(String)
}

/// Brings the schema up to date, forward only.
package struct Migrator: Sendable {
    package let migrations: [Migration]
    package let schema: String
    package let binaryGeneration: Int
    package let lockTimeout: Duration

    package init(
        migrations: [Migration], schema: String = "ovenbird", binaryGeneration: Int,
        lockTimeout: Duration = .seconds(60)
    ) throws(MigrationError) {
        self.migrations = migrations
        self.schema = schema
        self.binaryGeneration = binaryGeneration
        self.lockTimeout = lockTimeout
    }

    package func migrate(on connection: PostgresConnection) async throws(MigrationError) -> [String] { [] }

    package func check(on connection: PostgresConnection) async throws(MigrationError) -> SchemaState { .absent }
}
