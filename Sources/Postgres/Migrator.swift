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

/// Brings the schema up to date, forward only. Any number of processes may try at once: one does the work, the others
/// find it done. The connection must be the server's own, not a pooler's in transaction mode: the lock lives in a session.
package struct Migrator: Sendable {
    package let migrations: [Migration]
    package let schema: String
    package let binaryGeneration: Int
    /// How long another migrator is waited for.
    package let lockTimeout: Duration

    private static let pollInterval: Duration = .milliseconds(200)
    // Long, since an index may be built; the server's `lock_timeout` bounds what would block others.
    private static let statementTimeout: Duration = .seconds(24 * 3_600)

    /// - Parameters:
    ///   - migrations: versions 1, 2, 3 and so on without a gap, in any order.
    ///   - schema: the ledger is its table `migrations`.
    ///   - binaryGeneration: this binary's, compared with `Migration.oldestBinary` of migrations that it does not know.
    package init(
        migrations: [Migration], schema: String = "ovenbird", binaryGeneration: Int,
        lockTimeout: Duration = .seconds(60)
    ) throws(MigrationError) {
        self.migrations = migrations.sorted { $0.version < $1.version }
        self.schema = schema
        self.binaryGeneration = binaryGeneration
        self.lockTimeout = lockTimeout
        for (index, migration) in self.migrations.enumerated() where migration.version != index + 1 {
            throw .gap(version: index + 1)
        }
    }

    /// Applies what is missing, and answers its labels in order.
    package func migrate(on connection: PostgresConnection) async throws(MigrationError) -> [String] {
        try await lock(connection)
        let result: Result<[String], MigrationError>
        do throws(MigrationError) {
            result = .success(try await applyMissing(on: connection))
        } catch {
            result = .failure(error)
        }
        do throws(PostgresError) {
            _ = try await connection.query("SELECT pg_advisory_unlock(\(lockKey))")
        } catch {
            // The lock ends with the session, so a connection that could not give it back must not live on.
            await connection.close()
        }
        return try result.get()
    }

    /// Says what migrating would find, and changes nothing.
    package func check(on connection: PostgresConnection) async throws(MigrationError) -> SchemaState {
        guard let applied = try await ledger.read(on: connection) else { return .absent }
        return try state(of: applied)
    }

    /// Compares the ledger's entries with the files.
    func state(of applied: [AppliedMigration]) throws(MigrationError) -> SchemaState {
        guard !applied.isEmpty else { return migrations.isEmpty ? .current : .absent }
        let byVersion = Dictionary(applied.map { ($0.version, $0) }) { first, _ in first }
        for migration in migrations {
            guard let entry = byVersion[migration.version], entry.isComplete else { continue }
            if entry.checksum != migration.checksum { return .drifted(migration.label) }
        }
        // A migration that never ended may be mended in its file, so that its text is not compared.
        for migration in migrations where byVersion[migration.version]?.isComplete == false {
            return .interrupted(migration.label)
        }
        let last = applied.map(\.version).max() ?? 0
        for migration in migrations where byVersion[migration.version] == nil && migration.version < last {
            throw .gap(version: migration.version)
        }
        let unknown = applied.filter { $0.version > migrations.count }
        if !unknown.isEmpty {
            let oldestBinary = unknown.map(\.oldestBinary).max() ?? 0
            return oldestBinary <= binaryGeneration ? .newerAllowed : .newerRefused(oldestBinary: oldestBinary)
        }
        let missing = migrations.filter { byVersion[$0.version] == nil }
        return missing.isEmpty ? .current : .behind(missing.map(\.label))
    }

    private var ledger: MigrationLedger { MigrationLedger(schema: schema) }

    // Any number will do, if every migrator of this schema takes the same: FNV-1a of the ledger's name.
    private var lockKey: Int64 {
        let hash = "\(schema).migrations".utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3
        }
        return Int64(bitPattern: hash)
    }

    // A migrator that waited inside `pg_advisory_lock` would hold a snapshot, and CREATE INDEX CONCURRENTLY in the one
    // that has the lock would wait for it: a deadlock. So it asks, and sleeps outside any statement.
    private func lock(_ connection: PostgresConnection) async throws(MigrationError) {
        let deadline = ContinuousClock.now + lockTimeout
        while true {
            do throws(PostgresError) {
                let answer = try await connection.query("SELECT pg_try_advisory_lock(\(lockKey))")
                if try answer.first?.decode(0, as: Bool.self) == true { return }
            } catch {
                throw .database(error)
            }
            guard .now < deadline else { throw .locked }
            do {
                try await Task.sleep(for: Self.pollInterval)
            } catch {
                throw .database(.cancelled)
            }
        }
    }

    private func applyMissing(on connection: PostgresConnection) async throws(MigrationError) -> [String] {
        try await ledger.create(on: connection)
        let applied = try await ledger.read(on: connection) ?? []
        switch try state(of: applied) {
        case .current, .newerAllowed: return []
        case .drifted(let migration): throw .drifted(migration: migration)
        case .newerRefused(let oldestBinary):
            throw .newerSchema(migration: applied.last?.label ?? "", oldestBinary: oldestBinary)
        case .absent, .behind, .interrupted: break
        }
        let complete = Set(applied.filter(\.isComplete).map(\.version))
        let known = Set(applied.map(\.version))
        var labels: [String] = []
        for migration in migrations where !complete.contains(migration.version) {
            do throws(PostgresError) {
                if migration.isTransactional {
                    try await applyInTransaction(migration, on: connection)
                } else {
                    try await apply(migration, isRepair: known.contains(migration.version), on: connection)
                }
            } catch {
                throw .failed(migration: migration.label, error)
            }
            labels.append(migration.label)
        }
        return labels
    }

    private func applyInTransaction(
        _ migration: Migration, on connection: PostgresConnection
    ) async throws(PostgresError) {
        _ = try await connection.query("BEGIN")
        do throws(PostgresError) {
            _ = try await connection.query("SET LOCAL lock_timeout = '5s'")
            _ = try await connection.query("SET LOCAL statement_timeout = 0")
            try await connection.script(migration.sql, timeout: Self.statementTimeout)
            _ = try await connection.query(ledger.insertion(of: migration, isComplete: true))
            _ = try await connection.query("COMMIT", timeout: Self.statementTimeout)
        } catch {
            // Where this fails too, the connection is lost, and the server rolls back by itself.
            _ = try? await connection.query("ROLLBACK")
            throw error
        }
    }

    private func apply(
        _ migration: Migration, isRepair: Bool, on connection: PostgresConnection
    ) async throws(PostgresError) {
        // Recorded as begun first: whatever cuts the rest off, the next run finds it and repairs.
        _ = try await connection.query(ledger.insertion(of: migration, isComplete: false))
        if isRepair { try await dropInvalidIndexes(namedIn: migration, on: connection) }
        try await connection.script(migration.sql, timeout: Self.statementTimeout)
        _ = try await connection.query(ledger.insertion(of: migration, isComplete: true))
    }

    /// A concurrent index build that was cut off leaves an invalid index, which `IF NOT EXISTS` takes for a finished one.
    private func dropInvalidIndexes(
        namedIn migration: Migration, on connection: PostgresConnection
    ) async throws(PostgresError) {
        let invalid = try await connection.query(
            """
            SELECT c.relname FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE NOT i.indisvalid AND n.nspname = \(schema)
            """)
        for row in invalid {
            let name = try row.decode(0, as: String.self)
            guard migration.mentions(name) else { continue }
            let drop: PostgresStatement =
                "DROP INDEX CONCURRENTLY IF EXISTS \(identifier: schema).\(identifier: name)"
            _ = try await connection.query(drop, timeout: Self.statementTimeout)
        }
    }
}

extension Migration {
    /// Whether the name stands in the text as a word of its own.
    fileprivate func mentions(_ name: String) -> Bool {
        sql.split { !($0.isLetter || $0.isNumber || $0 == "_") }.contains { $0 == name }
    }
}
