import Storage
import Testing

struct ServerDescriptionTests {
    @Test(arguments: [
        (140_010, "UTF8", "0.8.5", "PostgreSQL 14 is too old"),
        (150_000, "LATIN1", "0.8.5", "ENCODING 'UTF8'"),
        (160_004, "UTF8", "0.6.2", "ALTER EXTENSION vector UPDATE"),
        (160_004, "UTF8", "0.7", "ALTER EXTENSION vector UPDATE"),
    ])
    func refusesWithWhatMendsIt(version: Int, encoding: String, extensionVersion: String, remedy: String) {
        let server = ServerDescription(
            version: version, encoding: encoding, extensionVersion: extensionVersion, offersExtension: true)
        guard case .refused(let reason) = server.verdict(wantsExtension: true) else {
            Issue.record("not refused")
            return
        }
        #expect(reason.contains(remedy))
    }

    @Test(arguments: [("0.7.0", 1), ("0.8.1", 1), ("0.8.2", 0), ("0.8.5", 0), ("0.10.0", 0), ("1.0", 0)])
    func warnsOfVersionsWithKnownFaults(extensionVersion: String, warningCount: Int) {
        let server = ServerDescription(
            version: 180_000, encoding: "UTF8", extensionVersion: extensionVersion, offersExtension: true)
        guard case .usable(let warnings) = server.verdict(wantsExtension: true) else {
            Issue.record("refused")
            return
        }
        #expect(warnings.count == warningCount)
    }

    @Test func aServerWithoutPgvectorIsToldWhichPackageHasIt() {
        let server = ServerDescription(
            version: 170_002, encoding: "UTF8", extensionVersion: nil, offersExtension: false)
        guard case .refused(let reason) = server.verdict(wantsExtension: false) else {
            Issue.record("not refused")
            return
        }
        #expect(reason.contains("postgresql-17-pgvector"))
    }

    @Test func theExtensionMayBeMissingBeforeTheMigrationAndNotAfter() {
        let server = ServerDescription(
            version: 170_002, encoding: "UTF8", extensionVersion: nil, offersExtension: true)
        #expect(server.verdict(wantsExtension: false) == .usable(warnings: []))
        #expect(server.verdict(wantsExtension: true) != .usable(warnings: []))
    }
}
