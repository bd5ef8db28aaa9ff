import Foundation
import Postgres
import Storage
import Testing

struct SchemaMigrationsTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().appending(path: "../../Migrations").standardizedFileURL

    @Test func theBinaryCarriesEveryMigrationByteForByte() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(SchemaMigrations.files.map(\.name) == names.filter { $0.hasSuffix(".sql") }.sorted())
        for (name, bytes) in SchemaMigrations.files {
            #expect(try Array(Data(contentsOf: Self.folder.appending(path: name))) == bytes, "\(name)")
        }
    }

    @Test func everyMigrationIsReadAndAllowsThisBinary() throws {
        let migrations = try SchemaMigrations.all()
        #expect(migrations.map(\.version) == Array(1...migrations.count))
        #expect(migrations.allSatisfy { $0.oldestBinary <= SchemaMigrations.binaryGeneration })
    }
}
