import Foundation
import Glibc

/// The built program as a process of its own. A watchman beside it kills it when the tests' own process is gone, however
/// that ended.
final class ChildProcess {
    private(set) var identifier: pid_t
    private let process = Process()
    private let watchman = Process()
    let log: URL

    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) is not there; `swift build` makes it" }
    }

    /// Where SwiftPM puts the program: beside the tests.
    static func program() throws -> String {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("ovenbird").path
        guard FileManager.default.isExecutableFile(atPath: path) else { throw Missing(path: path) }
        return path
    }

    init(_ arguments: [String]) throws {
        log = FileManager.default.temporaryDirectory.appendingPathComponent("ovenbird-test-\(UUID().uuidString).log")
        try Data().write(to: log)
        let output = try FileHandle(forWritingTo: log)
        process.executableURL = URL(fileURLWithPath: try Self.program())
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("OVENBIRD_") }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        identifier = process.processIdentifier

        watchman.executableURL = URL(fileURLWithPath: "/bin/sh")
        watchman.arguments = [
            "-c", "while kill -0 $0 && kill -0 $1; do sleep 1; done; kill -9 $1", "\(getpid())", "\(identifier)",
        ]
        watchman.standardInput = FileHandle.nullDevice
        watchman.standardOutput = FileHandle.nullDevice
        watchman.standardError = FileHandle.nullDevice
        try watchman.run()
    }

    var isRunning: Bool { process.isRunning }

    /// The last lines that it wrote.
    var logTail: String {
        // What cannot be read is of no use to whoever looks for a failure's cause.
        let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(20).joined(separator: "\n")
    }

    func send(_ signal: Int32) {
        kill(identifier, signal)
    }

    func killNow() {
        send(SIGKILL)
        process.waitUntilExit()
    }

    deinit {
        if process.isRunning { killNow() }
        watchman.terminate()
        // A file in the folder for temporary files, which may stay.
        try? FileManager.default.removeItem(at: log)
    }
}
