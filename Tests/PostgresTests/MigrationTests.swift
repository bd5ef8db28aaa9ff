import Postgres
import Testing

struct MigrationTests {
    @Test func theHeaderIsRead() throws {
        let plain = try Migration(fileName: "0001_begin.sql", sql: "-- oldest-binary: 1\nSELECT 1;\n")
        #expect(plain.version == 1 && plain.name == "begin" && plain.label == "0001_begin")
        #expect(plain.isTransactional && plain.oldestBinary == 1)
        let other = try Migration(
            fileName: "0012_index_it.sql", sql: "-- Why.\n-- no-transaction\n-- oldest-binary: 3\nSELECT 1;\n")
        #expect(!other.isTransactional && other.oldestBinary == 3 && other.label == "0012_index_it")
    }

    @Test func aHeaderLineBelowTheHeaderIsSQL() throws {
        let migration = try Migration(
            fileName: "0001_a.sql", sql: "-- oldest-binary: 1\nSELECT 1;\n-- no-transaction\n")
        #expect(migration.isTransactional)
    }

    @Test func lineEndsDoNotChangeTheChecksum() throws {
        let unix = try Migration(fileName: "0001_a.sql", sql: "-- oldest-binary: 1\nSELECT 1;\n")
        let windows = try Migration(fileName: "0001_a.sql", sql: "-- oldest-binary: 1\r\nSELECT 1;\r\n")
        #expect(unix.checksum == windows.checksum && unix.checksum.count == 32)
        let edited = try Migration(fileName: "0001_a.sql", sql: "-- oldest-binary: 1\nSELECT 2;\n")
        #expect(unix.checksum != edited.checksum)
    }

    @Test(arguments: [
        ("1_a.txt", "-- oldest-binary: 1\n"), ("a.sql", "-- oldest-binary: 1\n"),
        ("0000_a.sql", "-- oldest-binary: 1\n"),
        ("0001_.sql", "-- oldest-binary: 1\n"), ("0001_a.sql", "SELECT 1;"), ("0001_a.sql", "-- oldest-binary: x\n"),
    ])
    func aFileThatIsNoMigrationIsRefused(fileName: String, sql: String) {
        #expect(throws: MigrationError.self) { try Migration(fileName: fileName, sql: sql) }
    }

    @Test func aGapBetweenFilesIsRefused() throws {
        let first = try Migration(fileName: "0001_a.sql", sql: "-- oldest-binary: 1\n")
        let third = try Migration(fileName: "0003_c.sql", sql: "-- oldest-binary: 1\n")
        #expect(throws: MigrationError.gap(version: 2)) {
            try Migrator(migrations: [third, first], binaryGeneration: 1)
        }
    }
}
