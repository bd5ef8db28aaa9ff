import App
import Foundation
import JSON
import NIOHTTP1
import Synchronization
import Testing

struct JobTransferTests {
    // MARK: - Submission

    @Test func aLostAnswerIsAskedForUnderTheSameKey() async throws {
        try await TemporaryFile.with(contents: "{\"text\":\"a\"}\n{\"text\":\"b\"}") { path in
            let (answer, requests) = try await LoopbackServer.with(answer: { request in
                switch request.number {
                case 0: .none
                case 1: .json(.serviceUnavailable, #"{"error":{"message":"no database","code":"unavailable"}}"#)
                default: .json(.accepted, #"{"id":"job_1"}"#)
                }
            }) { client in
                try await JobSubmissionUpload(
                    file: UploadFile(path: path), collection: "c", priority: -3, idempotencyKey: "key",
                    firstDelay: .zero
                ).send(through: client)
            }
            #expect(answer["id"] == "job_1")
            #expect(requests.count == 3)
            for request in requests {
                #expect(request.method == .POST && request.uri == "/prefix/v1/jobs?collection=c&priority=-3")
                #expect(request.headers["Idempotency-Key"] == ["key"])
                #expect(request.headers["Content-Type"] == ["application/x-ndjson"])
                #expect(request.headers["Transfer-Encoding"] == ["chunked"])
                #expect(request.text == "{\"text\":\"a\"}\n{\"text\":\"b\"}")
            }
        }
    }

    @Test func aRefusalIsNotArguedWith() async throws {
        try await TemporaryFile.with(contents: "x") { path in
            let count = Mutex(0)
            await #expect(throws: ServiceFailure.refused(status: 400, code: "invalid", message: "no")) {
                try await LoopbackServer.with(answer: { _ in
                    count.withLock { $0 += 1 }
                    return .json(.badRequest, #"{"error":{"message":"no","code":"invalid"}}"#)
                }) { client in
                    try await JobSubmissionUpload(
                        file: UploadFile(path: path), idempotencyKey: "key", firstDelay: .zero
                    ).send(through: client)
                }
            }
            #expect(count.withLock { $0 } == 1)
        }
    }

    @Test func aServerThatStaysAwayIsLeft() async throws {
        try await TemporaryFile.with(contents: "x") { path in
            let count = Mutex(0)
            await #expect(throws: ServiceFailure.self) {
                try await LoopbackServer.with(answer: { _ in
                    count.withLock { $0 += 1 }
                    return .none
                }) { client in
                    try await JobSubmissionUpload(
                        file: UploadFile(path: path), idempotencyKey: "key", maximumAttempts: 3, firstDelay: .zero
                    ).send(through: client)
                }
            }
            #expect(count.withLock { $0 } == 3)
        }
    }

    @Test func whatCanBeReadOnceIsSentOnce() async throws {
        try await TemporaryFile.withPipe(contents: "{\"text\":\"a\"}\n") { path in
            let file = try UploadFile(path: path)
            #expect(!file.isRepeatable)
            let seen = Mutex<[String]>([])
            await #expect(throws: ServiceFailure.self) {
                try await LoopbackServer.with(answer: { request in
                    seen.withLock { $0.append(request.text) }
                    return .none
                }) { client in
                    try await JobSubmissionUpload(file: file, idempotencyKey: "key", firstDelay: .zero)
                        .send(through: client)
                }
            }
            #expect(seen.withLock { $0 } == ["{\"text\":\"a\"}\n"])
        }
    }

    @Test func aDryRunNamesNothing() async throws {
        try await TemporaryFile.with(contents: "x") { path in
            let (_, requests) = try await LoopbackServer.with(answer: { _ in .json(.ok, "{}") }) { client in
                try await JobSubmissionUpload(file: UploadFile(path: path), idempotencyKey: nil).send(through: client)
            }
            #expect(requests.map(\.uri) == ["/prefix/v1/jobs?dry_run=true"])
            #expect(requests.first?.headers["Idempotency-Key"] == [])
        }
    }

    @Test func aLongFileArrivesWhole() async throws {
        let line = String(repeating: "long ", count: 200)
        let contents = (0..<3_000).map { "\($0) \(line)\n" }.joined()
        try await TemporaryFile.with(contents: contents) { path in
            let (_, requests) = try await LoopbackServer.with(answer: { _ in .json(.ok, "{}") }) { client in
                try await JobSubmissionUpload(file: UploadFile(path: path), idempotencyKey: "k").send(through: client)
            }
            #expect(requests.first?.text == contents)
        }
    }

    @Test func folderAndMissingFileAreRefused() {
        #expect(throws: CommandFailure.self) { try UploadFile(path: "/") }
        #expect(throws: CommandFailure.self) { try UploadFile(path: "/does/not/exist") }
    }

    // MARK: - Results

    @Test func linesGoOnBehindTheLastWholeOne() async throws {
        let lines = (0..<6).map { "{\"id\":\"\($0)\"}\n" }
        var taken: [UInt8] = []
        let (_, requests) = try await LoopbackServer.with(answer: { request in
            switch request.number {
            case 0: .cut(.ok, [], lines[0] + lines[1] + lines[2].dropLast(4))
            case 1: .none
            case 2: .cut(.ok, [], lines[2])
            default: .whole(.ok, [], lines[3...].joined())
            }
        }) { client in
            var download = ResultDownload(client: client, id: "job_1", format: .ndjson, firstDelay: .zero)
            try await download.run { taken += $0 }
        }
        #expect(String(decoding: taken, as: UTF8.self) == lines.joined())
        let path = "/prefix/v1/jobs/job_1/results?format=ndjson"
        #expect(requests.map(\.uri) == [path, path + "&after=1", path + "&after=1", path + "&after=2"])
    }

    @Test func bytesGoOnWhereTheyStopped() async throws {
        var taken: [UInt8] = []
        let (_, requests) = try await LoopbackServer.with(answer: { request in
            request.number == 0
                ? .cut(.ok, [("ETag", "\"t\"")], "0123") : .whole(.partialContent, [("ETag", "\"t\"")], "456789")
        }) { client in
            var download = ResultDownload(client: client, id: "job_1", format: .npy, firstDelay: .zero)
            try await download.run { taken += $0 }
        }
        #expect(String(decoding: taken, as: UTF8.self) == "0123456789")
        #expect(requests.map { $0.headers["Range"] } == [[], ["bytes=4-"]])
        #expect(requests.map { $0.headers["If-Range"] } == [[], ["\"t\""]])
    }

    /// Two answers that may not be parts of one whole are never put together.
    @Test func nothingIsPatchedTogether() async throws {
        func download(
            _ format: ResultFormat, isPartial: Bool = false,
            _ answer: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Answer
        ) async throws {
            try await LoopbackServer.with(answer: answer) { client in
                var download = ResultDownload(
                    client: client, id: "job_1", format: format, isPartial: isPartial, firstDelay: .zero)
                try await download.run { _ in }
            }
        }
        await #expect(throws: ServiceFailure.self) {
            try await download(.f32) { $0.number == 0 ? .cut(.ok, [], "0123") : .whole(.partialContent, [], "4567") }
        }
        await #expect(throws: ServiceFailure.self) {
            try await download(.ndjson, isPartial: true) {
                $0.number == 0 ? .cut(.ok, [], "{}\n") : .whole(.ok, [], "{}\n")
            }
        }
        await #expect(throws: CommandFailure.self) {
            try await download(.f16) {
                $0.number == 0 ? .cut(.ok, [("ETag", "\"t\"")], "0123") : .whole(.ok, [("ETag", "\"u\"")], "01234567")
            }
        }
    }

    // MARK: - Outputs

    @Test func anOutputStandsWhenItIsWhole() async throws {
        try await TemporaryFile.with(contents: "old") { path in
            func contents() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
            func folder() throws -> [String] {
                try FileManager.default.contentsOfDirectory(
                    atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path)
            }
            func abandon() throws {
                var output = try AtomicOutput(path: path)
                try output.write(Array("new".utf8))
            }
            try abandon()
            #expect(try contents() == "old" && folder().count == 1)
            func write() throws {
                var output = try AtomicOutput(path: path)
                try output.write(Array("new".utf8))
                #expect(try contents() == "old")
                try output.finish()
            }
            try write()
            #expect(try contents() == "new" && folder().count == 1)
        }
    }
}

enum TemporaryFile {
    /// In a folder of its own.
    static func with(contents: String, _ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("file")
        try Data(contents.utf8).write(to: file)
        do {
            try await body(file.path)
            try FileManager.default.removeItem(at: folder)
        } catch {
            try FileManager.default.removeItem(at: folder)
            throw error
        }
    }

    /// The reading end of a pipe that holds the contents and then ends.
    static func withPipe(contents: String, _ body: (String) async throws -> Void) async throws {
        let pipe = Pipe()
        try pipe.fileHandleForWriting.write(contentsOf: Data(contents.utf8))
        try pipe.fileHandleForWriting.close()
        try await body("/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
    }
}
