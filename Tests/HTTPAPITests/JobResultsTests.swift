import Embeddings
import HTTPAPI
import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore
import Testing

struct JobResultsTests {
    let api = API {
        // Longer than other tests keep these from their turns.
        $0.jobStorePatience = .seconds(300)
        $0.resultsPerPage = 4; $0.resultBytesPerWrite = 100
    }
    let jobs: FakeJobStore

    init() throws {
        jobs = try #require(api.jobs)
    }

    private struct Download {
        let status: Int
        let headers: HTTPFields
        let bytes: [UInt8]
        /// The body ended before its end.
        let isCut: Bool

        var lines: [JSONValue] {
            String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap {
                try? JSONValue(parsing: String($0))
            }
        }
        var length: Int? { headers[.contentLength].flatMap { Int($0) } }
    }

    private func get(
        _ id: JobID, _ query: String = "", method: HTTPRequest.Method = .get, headers: HTTPFields = [:]
    ) async throws -> Download {
        let head = HTTPRequest(
            method: method, scheme: "http", authority: "localhost", path: "/v1/jobs/\(id)/results\(query)",
            headerFields: headers)
        let response = await api.service.respond(to: Request(head: head, body: RequestBody(buffer: ByteBuffer())))
        let collector = Collector()
        var isCut = false
        do { try await response.body.write(collector) } catch { isCut = true }
        #expect(isCut || collector.isFinished)
        return Download(
            status: Int(response.status.code), headers: response.headers, bytes: collector.bytes, isCut: isCut)
    }

    private final class Collector: ResponseBodyWriter {
        private(set) var bytes: [UInt8] = []
        private(set) var isFinished = false

        func write(_ buffer: ByteBuffer) { bytes += buffer.readableBytesView }
        func finish(_ trailingHeaders: HTTPFields?) { isFinished = true }
    }

    private func floats(_ bytes: some Sequence<UInt8>) -> [Float] {
        let bytes = Array(bytes)
        return stride(from: 0, to: bytes.count, by: 4).map { start in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
        }
    }

    private func rows(_ indexes: some Sequence<Int>, failing: Set<Int> = []) -> [Float] {
        indexes.flatMap { failing.contains($0) ? Array(repeating: .nan, count: 8) : FakeJobStore.vector($0).values }
    }

    /// NaN equals NaN here.
    private func expectEqual(_ left: [Float], _ right: [Float], _ comment: Comment? = nil) {
        #expect(left.map(\.bitPattern) == right.map(\.bitPattern), comment)
    }

    // MARK: - Lines

    @Test func linesComeInOrderAcrossPages() async throws {
        let id = await jobs.add(state: .completed, count: 11, ended: 0..<11, failing: [3, 8])
        let answer = try await get(id)
        #expect(answer.status == 200 && answer.headers[.contentType] == "application/x-ndjson")
        #expect(answer.lines.count == 11)
        for (index, line) in answer.lines.enumerated() {
            #expect(line.object?["id"] == .string("in-\(index)"))
            if [3, 8].contains(index) {
                #expect(line.object?["error"] == ["code": "poison", "message": "no \"vector\""])
                #expect(line.object?["embedding"] == nil)
            } else {
                let values = line.object?["embedding"]?.array?.compactMap { $0.number.flatMap { Float($0.literal) } }
                expectEqual(values ?? [], FakeJobStore.vector(index).values)
            }
        }
        #expect(await jobs.resultCalls.map(\.limit) == [4, 4, 3])
    }

    @Test func afterSkipsWithoutReading() async throws {
        let id = await jobs.add(state: .completed, count: 11, ended: 0..<11)
        #expect(try await get(id, "?after=8").lines.map { $0.object?["id"] } == ["in-9", "in-10"])
        #expect(await jobs.resultCalls.map(\.after) == [8])
        #expect(try await get(id, "?after=10").bytes.isEmpty)
        #expect(try await get(id, "?after=99").bytes.isEmpty)
    }

    @Test func numbersAreTheShortestThatReadBack() async throws {
        let id = await jobs.add(state: .completed, count: 1, ended: [0])
        let text = try await String(decoding: get(id).bytes, as: UTF8.self)
        let list = FakeJobStore.vector(0).values.map(\.description).joined(separator: ",")
        #expect(text == #"{"id":"in-0","embedding":[\#(list)]}"# + "\n")
    }

    @Test(arguments: [JobState.queued, .running, .paused]) func unfinishedJobsWait(state: JobState) async throws {
        let id = await jobs.add(state: state, count: 9, ended: [0, 1, 2, 6])
        for format in ["ndjson", "npy", "f32", "f16"] {
            let answer = try await api.send(.get, "/v1/jobs/\(id)/results?format=\(format)")
            #expect(answer.status == 409 && answer.code == "job_not_finished")
            #expect(answer.message.contains(state.rawValue))
        }
        let answer = try await get(id, "?partial=true")
        #expect(answer.lines.map { $0.object?["id"] } == ["in-0", "in-1", "in-2", "in-6"])
        // Packed rows have no ids: only a prefix can be told apart.
        let packed = try await get(id, "?partial=true&format=f32")
        expectEqual(floats(packed.bytes), rows(0..<3))
        #expect(packed.length == 3 * 32 && packed.headers[.eTag] == nil)
        let behind = try await get(id, "?partial=true&format=f32&after=0")
        expectEqual(floats(behind.bytes), rows(1..<3))
    }

    @Test func aPrefixMayBeSeveralPages() async throws {
        let id = await jobs.add(state: .running, count: 50, ended: Array(0..<13) + [14])
        let answer = try await get(id, "?partial=true&format=npy")
        #expect(String(decoding: answer.bytes[10..<128], as: UTF8.self).contains("(13, 8)"))
        expectEqual(floats(answer.bytes.suffix(13 * 32)), rows(0..<13))
    }

    @Test func whatACancelledJobDidNotDoIsAnError() async throws {
        let id = await jobs.add(state: .cancelled, count: 10, ended: [1, 2, 6])
        let lines = try await get(id).lines
        #expect(lines.count == 10)
        for (index, line) in lines.enumerated() {
            let isDone = [1, 2, 6].contains(index)
            #expect((line.object?["embedding"] != nil) == isDone)
            #expect(line.object?["id"] == .string("in-\(index)"))
            if !isDone { #expect(line.object?["error"]?.object?["code"] == "cancelled") }
        }
        let packed = try await get(id, "?format=f32")
        expectEqual(floats(packed.bytes), rows(0..<10, failing: [0, 3, 4, 5, 7, 8, 9]))
    }

    @Test func aFailedJobTellsItsFailureInEachLine() async throws {
        let id = await jobs.add(state: .failed, count: 3, ended: [0])
        await jobs.change(id) { $0.failure = ItemError(code: "collection_dropped", message: "gone") }
        let lines = try await get(id).lines
        #expect(
            lines.map { $0.object?["error"]?.object?["code"] } == [nil, "collection_dropped", "collection_dropped"])
    }

    @Test func droppedResultsAreSaidToBe() async throws {
        let id = await jobs.add(state: .completed, count: 3, ended: 0..<3)
        await jobs.change(id) { $0.dataDroppedAt = $0.createdAt }
        let answer = try await api.send(.get, "/v1/jobs/\(id)/results")
        #expect(answer.status == 404 && answer.code == "results_dropped")
    }

    @Test(arguments: [
        ("?format=csv", "format"), ("?after=-1", "after"), ("?after=x", "after"), ("?partial=yes", "partial"),
        ("?limit=5", "limit"),
    ])
    func wrongParametersAreNamed(query: String, field: String) async throws {
        let id = await jobs.add(state: .completed, count: 1, ended: [0])
        let answer = try await api.send(.get, "/v1/jobs/\(id)/results\(query)")
        #expect(answer.status == 400 && answer.field == field)
    }

    // MARK: - Packed rows

    @Test func npyHasAHeaderThatNumPyReads() async throws {
        let id = await jobs.add(state: .completed, count: 7, ended: 0..<7, failing: [0, 5])
        let answer = try await get(id, "?format=npy")
        #expect(answer.bytes.prefix(8).elementsEqual([0x93] + Array("NUMPY".utf8) + [1, 0]))
        let length = Int(answer.bytes[8]) | Int(answer.bytes[9]) << 8
        #expect((10 + length) % 64 == 0)
        let header = String(decoding: answer.bytes[10..<(10 + length)], as: UTF8.self)
        #expect(header.hasPrefix("{'descr': '<f4', 'fortran_order': False, 'shape': (7, 8), }"))
        #expect(header.hasSuffix("\n"))
        expectEqual(floats(answer.bytes.dropFirst(10 + length)), rows(0..<7, failing: [0, 5]))
        #expect(answer.length == answer.bytes.count && answer.headers[.acceptRanges] == "bytes")
    }

    @Test func halvesAreExact() async throws {
        let id = await jobs.add(state: .completed, count: 5, ended: 0..<5, failing: [2])
        let bytes = try await get(id, "?format=f16").bytes
        #expect(bytes.count == 5 * 16)
        let halves = stride(from: 0, to: bytes.count, by: 2).map {
            Float16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
        }
        #expect(halves[16..<24].allSatisfy { $0.isNaN })
        expectEqual((halves[..<16] + halves[24...]).map { Float($0) }, rows([0, 1, 3, 4]))
    }

    @Test func headTellsTheLengthAndReadsNothing() async throws {
        let id = await jobs.add(state: .completed, count: 7, ended: 0..<7)
        for format in ["npy", "f32", "f16"] {
            let whole = try await get(id, "?format=\(format)")
            let calls = await jobs.resultCalls.count
            let head = try await get(id, "?format=\(format)", method: .head, headers: [.range: "bytes=0-1"])
            #expect(head.status == 200 && head.bytes.isEmpty)
            #expect(head.length == whole.bytes.count)
            #expect(await jobs.resultCalls.count == calls)
        }
        #expect(try await get(id, method: .head).length == nil)
    }

    @Test(arguments: ["npy", "f32", "f16"]) func everyRangeIsItsPartOfTheWhole(format: String) async throws {
        let id = await jobs.add(state: .completed, count: 9, ended: 0..<9, failing: [4])
        let whole = try await get(id, "?format=\(format)").bytes
        let ranges: [(String, Range<Int>)] =
            [
                ("0-0", 0..<1), ("0-", 0..<whole.count), ("-1", (whole.count - 1)..<whole.count),
                ("-99999999", 0..<whole.count), ("5-99999999999999999999", 5..<whole.count),
                ("\(whole.count - 1)-\(whole.count - 1)", (whole.count - 1)..<whole.count),
            ]
            + (0..<60).map { seed in
                let first = (seed * 37) % whole.count
                let last = min(whole.count - 1, first + (seed * seed * 3) % 150)
                return ("\(first)-\(last)", first..<(last + 1))
            }
        for (text, range) in ranges {
            let answer = try await get(id, "?format=\(format)", headers: [.range: "bytes=\(text)"])
            #expect(answer.status == 206)
            #expect(answer.bytes == Array(whole[range]), "\(text)")
            #expect(answer.length == range.count)
            #expect(
                answer.headers[.contentRange] == "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(whole.count)")
        }
    }

    @Test func aRangeReadsOnlyItsRows() async throws {
        let id = await jobs.add(state: .completed, count: 1_000, ended: 0..<1_000)
        _ = try await get(id, "?format=f32", headers: [.range: "bytes=\(900 * 32 + 5)-\(901 * 32 + 1)"])
        let calls = await jobs.resultCalls
        #expect(calls.map(\.after) == [899] && calls.map(\.limit) == [2])
    }

    @Test(arguments: ["bytes=288-", "bytes=288-300", "bytes=-0"]) func rangesPastTheEndAre416(range: String)
        async throws
    {
        let id = await jobs.add(state: .completed, count: 9, ended: 0..<9)
        let answer = try await api.send(.get, "/v1/jobs/\(id)/results?format=f32", headers: [.range: range])
        #expect(answer.status == 416 && answer.code == "range_not_satisfiable")
        #expect(answer.headers[.contentRange] == "bytes */288")
    }

    @Test(arguments: ["bytes=0-1,4-5", "bytes=5-2", "bytes=a-b", "bytes=-", "rows=0-1", "bytes=1", "bytes=+1-2"])
    func otherRangesAreAnsweredWithTheWhole(range: String) async throws {
        let id = await jobs.add(state: .completed, count: 9, ended: 0..<9)
        let answer = try await get(id, "?format=f32", headers: [.range: range])
        #expect(answer.status == 200 && answer.bytes.count == 288)
    }

    @Test func linesHaveNoRanges() async throws {
        let id = await jobs.add(state: .completed, count: 9, ended: 0..<9)
        let answer = try await get(id, headers: [.range: "bytes=0-1"])
        #expect(answer.status == 200 && answer.lines.count == 9 && answer.headers[.acceptRanges] == nil)
    }

    @Test func ifRangeNeedsTheSameResults() async throws {
        let id = await jobs.add(state: .completed, count: 9, ended: 0..<9)
        let tag = try #require(await get(id, "?format=f32").headers[.eTag])
        func status(_ ifRange: String, _ query: String = "?format=f32") async throws -> Int {
            try await get(id, query, headers: [.range: "bytes=0-1", .ifRange: ifRange]).status
        }
        #expect(try await status(tag) == 206)
        #expect(try await status("W/\(tag)") == 200)
        #expect(try await status("Mon, 23 Nov 2026 18:00:00 GMT") == 200)
        #expect(try await status(tag, "?format=f16") == 200)
        // Tried again, the job ends anew.
        await jobs.change(id) { $0.endedAt = Timestamp(microsecondsSinceUnixEpoch: 1) }
        #expect(try await status(tag) == 200)
    }

    @Test func aCollectionsResultsHaveNoTag() async throws {
        let collection = DocumentCollection(
            id: 1, name: try #require(CollectionName("demo")), modelName: "m",
            fingerprint: ModelFingerprint(bytes: Array(repeating: 7, count: 32)), dimensions: 8, metric: .cosine)
        let id = await jobs.add(state: .completed, count: 9, ended: 0..<9, collection: collection)
        #expect(try await get(id, "?format=f32").headers[.eTag] == nil)
        #expect(try await get(id, "?format=f32", headers: [.range: "bytes=0-1"]).status == 206)
    }

    @Test func noRowsAreStillAnArray() async throws {
        let id = await jobs.add(state: .completed, count: 3, ended: 0..<3)
        let answer = try await get(id, "?format=npy&after=2")
        #expect(String(decoding: answer.bytes.dropFirst(10), as: UTF8.self).contains("'shape': (0, 8)"))
        #expect(answer.bytes.count % 64 == 0 && answer.length == answer.bytes.count)
        #expect(try await get(id, "?format=f32&after=5").bytes.isEmpty)
        #expect(try await get(id, "?format=f32&after=5", headers: [.range: "bytes=0-"]).status == 416)
    }

    // MARK: - What goes wrong under way

    private let away = StorageError.unavailable(details: "secret")

    @Test func anOutageBeforeTheFirstByteIs503() async throws {
        let api = API(jobs: jobs) { $0.jobStorePatience = .zero }
        let id = await jobs.add(state: .completed, count: 3, ended: 0..<3)
        for format in ["ndjson", "npy"] {
            await jobs.fail(.results, away)
            let answer = try await api.send(.get, "/v1/jobs/\(id)/results?format=\(format)")
            #expect(answer.status == 503 && !answer.text.contains("secret"))
        }
    }

    @Test func aShortOutageIsWaitedFor() async throws {
        let id = await jobs.add(state: .completed, count: 6, ended: 0..<6)
        await jobs.fail(.results, away, away)
        #expect(try await get(id).lines.count == 6)
    }

    @Test(arguments: ["ndjson", "npy", "f32", "f16"])
    func whatIsLostUnderWayCutsTheAnswer(format: String) async throws {
        for loss in Loss.allCases {
            let id = await jobs.add(state: .completed, count: 20, ended: 0..<20)
            let head = HTTPRequest(
                method: .get, scheme: "http", authority: "localhost", path: "/v1/jobs/\(id)/results?format=\(format)")
            let response = await api.service.respond(to: Request(head: head, body: RequestBody(buffer: ByteBuffer())))
            #expect(response.status == .ok)
            // The first page is read by now; the rest is not.
            switch loss {
            case .deletion: _ = try await jobs.deleteJob(id)
            case .retention:
                await jobs.change(id) { $0.dataDroppedAt = $0.createdAt }
                await jobs.forgetResults(of: id)
            case .fault: await jobs.fail(.results, .internalFailure(details: ""))
            case .repetition:
                await jobs.change(id) {
                    $0.state = .running; $0.endedAt = nil
                }
                await jobs.forgetResults(of: id)
            }
            let collector = Collector()
            await #expect(throws: (any Error).self, "\(loss)") { try await response.body.write(collector) }
            #expect(!collector.isFinished)
            await jobs.fail(.results)
        }
    }

    private enum Loss: CaseIterable {
        case deletion
        case retention
        case fault
        case repetition
    }

    @Test func pagesShareTheBodyBudget() async throws {
        let api = API(jobs: jobs) {
            $0.maxBodyBytes = 1_000
            $0.maxBufferedBodyBytes = 1_000
            $0.resultsPerPage = 4
        }
        let id = await jobs.add(state: .completed, count: 3, ended: 0..<3)
        let head = HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: "/v1/jobs/\(id)/results")
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer()))
        do {
            let first = await api.service.respond(to: request)
            #expect(first.status == .ok)
            #expect(await api.service.respond(to: request).status == .serviceUnavailable)
            try await first.body.write(Collector())
        }
        #expect(await api.service.respond(to: request).status == .ok)
    }
}
