import App
import ArgumentParser
import Foundation
import Testing

/// The commands as they are typed, on a real model.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil), .serialized)
struct ModelFolderCommandTests {
    private static let model = ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] ?? ""

    private static func run(_ arguments: [String]) async throws {
        var command = try OvenbirdCommand.parseAsRoot(arguments)
        if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
        } else {
            try command.run()
        }
    }

    private static func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }  // a left-over temporary file harms nobody
        try await body(folder)
    }

    @Test func aSweepDrawsEverySize() async throws {
        try await Self.withFolder { folder in
            let (texts, chart) = (folder.appendingPathComponent("t.txt"), folder.appendingPathComponent("c.html"))
            try Data("A loaf of bread.\n\nA nest of mud, built in a week.\n".utf8).write(to: texts)
            let bench = ["bench", "--model", Self.model, "--input", texts.path, "--threads", "2"]
            try await Self.run(bench + ["--sweep-batch", "1,3", "--sweep-length", "5,9", "--chart", chart.path])
            let page = try String(contentsOf: chart, encoding: .utf8)
            for part in ["<th scope=\"row\">3</th>", "5 tokens each", "9 tokens each", "Measured peak"] {
                #expect(page.contains(part))
            }
            let failure = await #expect(throws: CommandFailure.self) {
                try await Self.run(bench + ["--sweep-length", "2"])
            }
            #expect(failure?.exitCode == 64)
        }
    }

    @Test func aModelIsToldOfAndHoldsItsLines() async throws {
        try await Self.run(["model", "info", Self.model, "--json"])
        try await Self.run(["model", "verify", Self.model])
    }
}
