import App
import Foundation
import Testing

struct APIKeysTests {
    private func file(_ contents: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("keys-\(UUID().uuidString)").path
        try contents.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test func keysComeFromTheFileAndTheEnvironment() throws {
        let path = try file("one\n\n  two \r\n")
        defer { try? FileManager.default.removeItem(atPath: path) }  // a left-over temporary file harms nobody
        let keys = try APIKeys.load(file: path, environment: ["OVENBIRD_API_KEY": "three, four"])
        #expect(keys == ["one", "two", "three", "four"])
    }

    @Test func noSourceMeansNoKey() throws {
        #expect(try APIKeys.load(file: nil, environment: [:]).isEmpty)
    }

    @Test(arguments: ["", " , ", "ä", "a b"])
    func refusesAVariableWithoutAUsableKey(value: String) {
        #expect(throws: (any Error).self) { try APIKeys.load(file: nil, environment: ["OVENBIRD_API_KEY": value]) }
    }

    @Test func refusesAFileThatCannotBeRead() {
        #expect(throws: (any Error).self) { try APIKeys.load(file: "/nonexistent/keys", environment: [:]) }
    }
}
