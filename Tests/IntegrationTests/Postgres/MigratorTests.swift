import Postgres
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation))
struct MigratorTests {
    private func migration(_ fileName: String, _ sql: String, header: String = "") throws -> Migration {
        try Migration(fileName: fileName, sql: "-- oldest-binary: 1\n" + header + sql)
    }

    private func files() throws -> [Migration] {
        [
            try migration("0001_things.sql", "CREATE TABLE ovenbird.things (id int PRIMARY KEY, a int);"),
            try migration(
                "0002_more.sql", "ALTER TABLE ovenbird.things ADD b int; ALTER TABLE ovenbird.things ADD c int;"),
            try migration(
                "0003_index.sql", "CREATE INDEX CONCURRENTLY IF NOT EXISTS things_a ON ovenbird.things (a);",
                header: "-- no-transaction\n"),
        ]
    }

    @Test func migrationsAreAppliedInOrderAndOnce() async throws {
        try await TestDatabase.withConnection { connection in
            let migrator = try Migrator(migrations: files(), binaryGeneration: 1)
            #expect(try await migrator.check(on: connection) == .absent)
            #expect(try await migrator.migrate(on: connection) == ["0001_things", "0002_more", "0003_index"])
            #expect(try await migrator.check(on: connection) == .current)
            #expect(try await migrator.migrate(on: connection) == [])
            let longer = try Migrator(
                migrations: files() + [migration("0004_d.sql", "SELECT 1;")], binaryGeneration: 1)
            #expect(try await longer.check(on: connection) == .behind(["0004_d"]))
        }
    }

    @Test func migratorsAtOnceDoTheWorkOnce() async throws {
        try await TestDatabase.with { database in
            let migrator = try Migrator(migrations: files(), binaryGeneration: 1)
            let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let connection = try await database.connect()
                        return try await migrator.migrate(on: connection)
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(applied == ["0001_things", "0002_more", "0003_index"])
        }
    }

    @Test func aFailedMigrationLeavesNothingBehind() async throws {
        try await TestDatabase.withConnection { connection in
            let broken = try migration("0001_things.sql", "CREATE TABLE ovenbird.t (a int); SELECT 1/0;")
            let migrator = try Migrator(migrations: [broken], binaryGeneration: 1)
            await #expect(throws: MigrationError.self) { try await migrator.migrate(on: connection) }
            let isAbsent = try await connection.query("SELECT to_regclass('ovenbird.t') IS NULL")
            #expect(try isAbsent.first?.decode(0, as: Bool.self) == true)
            #expect(try await migrator.check(on: connection) == .absent)
            let mended = try Migrator(migrations: files(), binaryGeneration: 1)
            #expect(try await mended.migrate(on: connection).count == 3)
        }
    }

    @Test func anEditedMigrationIsRefused() async throws {
        try await TestDatabase.withConnection { connection in
            _ = try await Migrator(migrations: files(), binaryGeneration: 1).migrate(on: connection)
            var edited = try files()
            edited[1] = try migration("0002_more.sql", "ALTER TABLE ovenbird.things ADD d int;")
            let migrator = try Migrator(migrations: edited, binaryGeneration: 1)
            #expect(try await migrator.check(on: connection) == .drifted("0002_more"))
            await #expect(throws: MigrationError.drifted(migration: "0002_more")) {
                try await migrator.migrate(on: connection)
            }
        }
    }

    @Test func aNewerSchemaIsAllowedOrRefusedByItsOldestBinary() async throws {
        try await TestDatabase.withConnection { connection in
            let contracting = try Migration(fileName: "0004_contract.sql", sql: "-- oldest-binary: 5\nSELECT 1;")
            _ = try await Migrator(migrations: files() + [contracting], binaryGeneration: 5)
                .migrate(on: connection)
            let old = try Migrator(migrations: files(), binaryGeneration: 4)
            #expect(try await old.check(on: connection) == .newerRefused(oldestBinary: 5))
            await #expect(throws: MigrationError.newerSchema(migration: "0004_contract", oldestBinary: 5)) {
                try await old.migrate(on: connection)
            }
            let recent = try Migrator(migrations: files(), binaryGeneration: 5)
            #expect(try await recent.check(on: connection) == .newerAllowed)
            #expect(try await recent.migrate(on: connection) == [])
        }
    }

    /// A unique index over equal values fails late and leaves an invalid index, as a crash in the middle does.
    @Test func aHalfBuiltIndexIsRepairedByTheNextRun() async throws {
        try await TestDatabase.withConnection { connection in
            let first = try migration(
                "0001_things.sql", "CREATE TABLE ovenbird.things (a int); INSERT INTO ovenbird.things VALUES (1), (1);")
            let second = try migration(
                "0002_unique.sql", "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS things_a ON ovenbird.things (a);",
                header: "-- no-transaction\n")
            let migrator = try Migrator(migrations: [first, second], binaryGeneration: 1)
            await #expect(throws: MigrationError.self) { try await migrator.migrate(on: connection) }
            #expect(try await migrator.check(on: connection) == .interrupted("0002_unique"))
            let validity: PostgresStatement =
                "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ovenbird.things_a'::regclass"
            #expect(try await connection.query(validity).first?.decode(0, as: Bool.self) == false)
            _ = try await connection.query("DELETE FROM ovenbird.things")
            #expect(try await migrator.migrate(on: connection) == ["0002_unique"])
            #expect(try await connection.query(validity).first?.decode(0, as: Bool.self) == true)
            #expect(try await migrator.check(on: connection) == .current)
        }
    }

    @Test func aMigratorThatCannotHaveTheLockGivesUp() async throws {
        try await TestDatabase.with { database in
            let holder = try await database.connect()
            let migrator = try Migrator(
                migrations: files(), binaryGeneration: 1, lockTimeout: .milliseconds(300))
            // The holder's lock is the migrator's own: taken inside a migration that waits for a row lock elsewhere.
            _ = try await migrator.migrate(on: holder)
            let waiting = try Migrator(
                migrations: files() + [migration("0004_slow.sql", "SELECT pg_sleep(2);")], binaryGeneration: 1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await waiting.migrate(on: holder) }
                let other = try await database.connect()
                try await eventually("the slow migration did not start") {
                    try await other.query(
                        """
                        SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        """
                    ).first?.decode(0, as: Int.self) == 1
                }
                await #expect(throws: MigrationError.locked) { try await migrator.migrate(on: other) }
                try await group.waitForAll()
            }
        }
    }

    /// Lets whoever records that migration as complete wait for a lock, and runs the body while it does.
    private func holdingTheRecord(
        of version: Int, in database: TestDatabase, _ migrator: Migrator,
        _ body: (_ process: Int32, _ watcher: PostgresConnection) async throws -> Void
    ) async throws {
        let (watcher, holder) = (try await database.connect(), try await database.connect())
        try await watcher.script(
            """
            CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
            CREATE TRIGGER wait BEFORE INSERT ON ovenbird.migrations FOR EACH ROW
                WHEN (NEW.version = \(version) AND NEW.is_complete) EXECUTE FUNCTION public.wait()
            """)
        _ = try await holder.query("SELECT pg_advisory_lock(4711)")
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: MigrationError.self) {
                    let connection = try await database.connect()
                    _ = try await migrator.migrate(on: connection)
                }
            }
            await #expect(throws: Never.self) {
                var process: Int32?
                try await eventually("no migrator came to its record") {
                    process = try await watcher.query(
                        """
                        SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        """
                    ).first?.decode(0)
                    return process != nil
                }
                try await body(try #require(process), watcher)
            }
            await group.waitForAll()
        }
        await holder.close()
        try await watcher.script("DROP FUNCTION public.wait CASCADE")
        await watcher.close()
    }

    @Test func aMigrationCutBeforeItsRecordLeavesNothingBehind() async throws {
        try await TestDatabase.with { database in
            let connection = try await database.connect()
            _ = try await Migrator(migrations: [files()[0]], binaryGeneration: 1).migrate(on: connection)
            let migrator = try Migrator(migrations: Array(files()[..<2]), binaryGeneration: 1)
            try await holdingTheRecord(of: 2, in: database, migrator) { process, watcher in
                _ = try await watcher.query("SELECT pg_terminate_backend(\(process), 5000)")
                let columns = try await watcher.query(
                    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'ovenbird.things'::regclass AND attnum > 0")
                #expect(try columns.first?.decode(0, as: Int.self) == 2)
            }
            #expect(try await migrator.check(on: connection) == .behind(["0002_more"]))
            #expect(try await migrator.migrate(on: connection) == ["0002_more"])
            await connection.close()
        }
    }

    @Test func anIndexBuildCutBeforeItsRecordIsFoundAndRecorded() async throws {
        try await TestDatabase.with { database in
            let connection = try await database.connect()
            _ = try await Migrator(migrations: Array(files()[..<2]), binaryGeneration: 1).migrate(on: connection)
            let migrator = try Migrator(migrations: files(), binaryGeneration: 1)
            try await holdingTheRecord(of: 3, in: database, migrator) { process, watcher in
                _ = try await watcher.query("SELECT pg_terminate_backend(\(process), 5000)")
            }
            #expect(try await migrator.check(on: connection) == .interrupted("0003_index"))
            #expect(try await migrator.migrate(on: connection) == ["0003_index"])
            #expect(try await migrator.check(on: connection) == .current)
            await connection.close()
        }
    }
}
