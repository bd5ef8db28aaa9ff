import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct JobSubmissionTests {
    private let type = "application/x-ndjson"

    private func submit(
        _ api: API, _ body: String, query: String = "", key: String? = nil, type: String? = "application/x-ndjson",
        headers: HTTPFields = [:]
    ) async throws -> API.Answer {
        var headers = headers
        if let key, let name = HTTPField.Name("Idempotency-Key") { headers[name] = key }
        return try await api.send(.post, "/v1/jobs\(query)", body, type: type, headers: headers)
    }

    private func id(_ answer: API.Answer) throws -> JobID {
        try #require(JobID(answer.object["id"]?.string ?? ""))
    }

    private let three = #"{"id":"a","text":"one"}"# + "\n\n" + #"{"text":"two"}"# + "\r\n" + #"{"id":7,"text":"three"}"#

    @Test func aJobIsAcceptedWhole() async throws {
        let api = API()
        let answer = try await submit(api, three, query: "?priority=-5&model=alias")
        #expect(answer.status == 202)
        let id = try id(answer)
        #expect(answer.headers[.location] == "/v1/jobs/\(id)")
        #expect(answer.object["state"] == "queued" && answer.object["source"] == "http")
        #expect(answer.object["collection"] == .null && answer.object["model"] == "test/hash-model")
        #expect(answer.object["dimensions"] == 8 && answer.object["priority"] == -5)
        #expect(answer.object["counts"] == ["total": 3, "succeeded": 0, "failed": 0, "deduplicated": 0])
        #expect(answer.object["ended_at"] == .null && answer.object["eta_seconds"] == .null)
        let inputs = try #require(await api.jobs?.inputs(of: id))
        #expect(inputs.map(\.id) == ["a", "1", "7"])
        #expect(api.bell.count == 1)
        let specification = await api.jobs?.specification(of: id)
        #expect(specification?.owner == .anonymous && specification?.priority == -5)
    }

    @Test func documentsKeepTheirMetadata() async throws {
        let api = try await API().prepared()
        let answer = try await submit(
            api, #"{"id":"a","text":"one","metadata":{"n":1}}"#, query: "?collection=demo")
        #expect(answer.object["collection"] == "demo")
        let inputs = try #require(await api.jobs?.inputs(of: id(answer)))
        #expect(inputs == [JobInput(id: "a", content: .success(.init(text: "one", metadata: JSONObject(["n": 1]))))])
    }

    @Test(arguments: [1, 2, 7, 1_000]) func linesMayArriveInAnyPieces(size: Int) async throws {
        let api = API { $0.jobInputsPerAppend = 8 }
        let bytes = Array((0..<20).map { #"{"id":"i\#($0)","text":"text \#($0) é"}"# }.joined(separator: "\n").utf8)
        let pieces = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
        let answer = try await api.send(.post, "/v1/jobs", pieces: pieces, type: type)
        let inputs = try #require(await api.jobs?.inputs(of: id(answer)))
        #expect(inputs.map(\.id) == (0..<20).map { "i\($0)" })
        #expect(await api.jobs?.appendSizes == [8, 8, 4])
    }

    @Test func longLinesCloseAnAppend() async throws {
        let api = API { $0.jobBytesPerAppend = 1_000 }
        let line = #"{"text":"\#(String(repeating: "x", count: 350))"}"#
        _ = try await submit(api, Array(repeating: line, count: 5).joined(separator: "\n"))
        #expect(await api.jobs?.appendSizes == [2, 2, 1])
    }

    @Test func invalidLinesFailAlone() async throws {
        let api = API {
            $0.maxLineBytes = 600; $0.maxTextBytes = 80
        }
        let lines: [(String, String)] = [
            ("{", "not valid JSON"), ("5", "a number"), (#"{"id":"x"}"#, "text is missing"),
            (#"{"id":"x","text":""}"#, "empty"), (#"{"text":5}"#, "number"),
            (#"{"text":"a\u0000"}"#, "NUL"), (#"{"text":"\ud800"}"#, "surrogate"),
            (#"{"text":"a","metadata":[]}"#, "an object"), (#"{"id":true,"text":"a"}"#, "a string or an integer"),
            (#"{"text":"\#(String(repeating: "y", count: 81))"}"#, "at most 80"),
            (#"{"text":"a","pad":"\#(String(repeating: "z", count: 700))"}"#, "longer than 600"),
            (#"{"id":"\#(String(repeating: "i", count: 513))","text":"a"}"#, "at most 512"),
        ]
        let body = lines.map(\.0).joined(separator: "\n") + "\n" + #"{"text":"good"}"#
        let answer = try await submit(api, body)
        #expect(answer.status == 202)
        let inputs = try #require(await api.jobs?.inputs(of: id(answer)))
        #expect(inputs.count == lines.count + 1)
        for (index, (input, line)) in zip(inputs, lines).enumerated() {
            guard case .failure(let error) = input.content else {
                Issue.record("\(line.0.prefix(60)) was taken")
                continue
            }
            #expect(error.code == "invalid_line")
            #expect(error.message.contains(line.1), "\(error.message)")
            #expect(input.id == (line.0.contains(#""x""#) ? "x" : String(index)))
        }
        let job = try await api.send(.get, "/v1/jobs/\(id(answer))")
        #expect(job.object["counts"]?.object?["failed"] == .number(JSONNumber(lines.count)))
        #expect(job.object["errors"]?.array?.count == 10)
        #expect(job.object["errors"]?.array?.first?.object?["index"] == 0)
    }

    @Test func aBodyWithoutAValidLineKeepsNothing() async throws {
        let api = API { $0.jobInputsPerAppend = 2 }
        let answer = try await submit(api, "x\ny\nz", key: "k")
        #expect(answer.status == 400 && answer.code == "no_valid_line")
        #expect(answer.object["errors"]?.array?.count == 3)
        #expect(await api.jobs?.count == 0)
        #expect(api.bell.count == 0)
        // The key names nothing yet.
        #expect(try await submit(api, three, key: "k").status == 202)
    }

    @Test(arguments: ["", "\n", " \r\n\n\t"]) func anEmptyBodyIsRefused(body: String) async throws {
        let api = API()
        #expect(try await submit(api, body).code == "invalid_value")
        #expect(await api.jobs?.count == 0)
    }

    @Test func onlyLinesAreTaken() async throws {
        for type in ["application/json", "text/plain", nil] {
            #expect(try await submit(API(), three, type: type).status == 415)
        }
        #expect(try await submit(API(), three, type: "application/x-ndjson; charset=utf-8").status == 202)
    }

    @Test(arguments: [
        ("?priority=101", "priority"), ("?priority=-101", "priority"), ("?priority=1.5", "priority"),
        ("?priority=", "priority"), ("?prio=1", "prio"), ("?dry_run=1", "dry_run"),
        ("?priority=1&priority=2", "priority"),
    ])
    func wrongParametersAreNamed(query: String, field: String) async throws {
        let answer = try await submit(API(), three, query: query)
        #expect(answer.status == 400 && answer.code == "invalid_value")
        #expect(answer.field == field)
    }

    @Test(arguments: ["", "clé", "a\tb", String(repeating: "k", count: 256)])
    func wrongKeysAreRefused(key: String) async throws {
        let answer = try await submit(API(), three, key: key)
        #expect(answer.status == 400 && answer.field == "Idempotency-Key")
    }

    @Test func twoKeysAreRefused() async throws {
        let name = try #require(HTTPField.Name("Idempotency-Key"))
        let headers = HTTPFields([HTTPField(name: name, value: "a"), HTTPField(name: name, value: "b")])
        let answer = try await submit(API(), three, headers: headers)
        #expect(answer.status == 400 && answer.field == "Idempotency-Key")
        #expect(answer.message.contains("twice"))
    }

    @Test func unknownModelsAndCollectionsAreRefused() async throws {
        let api = try await API().prepared()
        #expect(try await submit(api, three, query: "?model=none").code == "model_not_found")
        #expect(try await submit(api, three, query: "?collection=none").code == "collection_not_found")
        #expect(try await submit(api, three, query: "?collection=Demo").code == "invalid_value")
        let other = API(embedder: HashEmbedder(name: "other", fingerprint: 9), store: api.store)
        #expect(try await submit(other, three, query: "?collection=demo").code == "model_differs")
        #expect(await api.jobs?.count == 0)
    }

    @Test func withoutADatabaseThereAreNoJobs() async throws {
        let api = API(store: nil, jobs: nil)
        #expect(try await submit(api, three).code == "database_not_configured")
        #expect(try await submit(api, three, query: "?dry_run=true").status == 501)
        let id = JobID.random()
        for path in ["", "/\(id)", "/\(id)/results", "/\(id)/errors", "/\(id)/events"] {
            #expect(try await api.send(.get, "/v1/jobs\(path)").status == 501)
        }
        for command in JobCommand.allCases {
            #expect(try await api.send(.post, "/v1/jobs/\(id)/\(command.rawValue)").status == 501)
        }
        #expect(try await api.send(.delete, "/v1/jobs/\(id)").status == 501)
    }

    // MARK: - Repetition

    @Test func aRepetitionIsAnsweredToTheByte() async throws {
        let api = API()
        let first = try await submit(api, three + "\nbroken", query: "?priority=3", key: "k 1")
        let id = try id(first)
        await api.jobs?.change(id) { job in
            job.state = .completed
            job.counts.succeeded = 3
            job.counts.failed = 1
            job.tokenCount = 9
            job.startedAt = job.createdAt
            job.endedAt = job.createdAt
        }
        let second = try await submit(api, three + "\nbroken", query: "?priority=3", key: "k 1")
        #expect(second.status == 202 && second.text == first.text)
        #expect(second.headers[.location] == first.headers[.location])
        #expect(await api.jobs?.count == 1)
        #expect(api.bell.count == 1)
    }

    @Test func anotherBodyOrParameterConflicts() async throws {
        let api = try await API().prepared()
        let first = try await submit(api, three, key: "k")
        let firstID = try id(first).description
        for (body, query) in [
            (three + "\n", ""), (three, "?priority=1"), (three, "?collection=demo"), (three, "?model=alias"), ("", ""),
        ] {
            let answer = try await submit(api, body, query: query, key: "k")
            #expect(answer.status == 409 && answer.code == "idempotency_conflict")
            #expect(answer.message.contains(firstID))
        }
        #expect(await api.jobs?.count == 1)
        #expect(try await submit(api, three, query: "?priority=0", key: "k").status == 202)
    }

    @Test func keysBelongToTheirOwner() async throws {
        let api = API { $0.apiKeys = [Secret("one"), Secret("two")] }
        let first = try await submit(api, three, key: "k", headers: [.authorization: "Bearer one"])
        let second = try await submit(api, "{\"text\":\"x\"}", key: "k", headers: [.authorization: "Bearer two"])
        #expect(first.status == 202 && second.status == 202)
        let owner = await api.jobs?.specification(of: try id(first))?.owner
        // The start of SHA-256("one").
        #expect(owner?.description == "7692c3ad3540bb80")
        let again = try await submit(api, three, key: "k", headers: [.authorization: "bearer one"])
        #expect(again.text == first.text)
    }

    @Test func ofTwoAtOnceOneIsTheJob() async throws {
        let api = API()
        let jobs = try #require(api.jobs)
        // The other one comes in between, after both have looked for the key.
        let meeting = Meeting(count: 2)
        await jobs.beforeCommit { await meeting.arrive() }
        async let left = submit(api, three, key: "k")
        async let right = submit(api, three, key: "k")
        let answers = try await [left, right]
        #expect(answers.allSatisfy { $0.status == 202 })
        #expect(answers[0].text == answers[1].text)
        #expect(await jobs.count == 1)
        #expect(api.bell.count == 1)
    }

    // MARK: - The store away

    private let away = StorageError.unavailable(details: "secret host")

    @Test func anUploadOutlivesAnOutage() async throws {
        // Longer than other tests keep this one from its turn.
        let api = API {
            $0.jobInputsPerAppend = 2
            $0.jobStorePatience = .seconds(300)
        }
        await api.jobs?.fail(.append, away, .notWritable(details: ""))
        await api.jobs?.fail(.commit, away)
        let answer = try await submit(api, three)
        #expect(answer.status == 202)
        let inputs = try await api.jobs?.inputs(of: id(answer))
        #expect(inputs?.count == 3)
    }

    @Test func anAppendWhoseAnswerWasLostIsRepeated() async throws {
        let api = API { $0.jobInputsPerAppend = 2 }
        await api.jobs?.fail(.append, away, losingAnswers: true)
        let answer = try await submit(api, three)
        let inputs = try await api.jobs?.inputs(of: id(answer))
        #expect(inputs?.map(\.id) == ["a", "1", "7"])
    }

    @Test func aLongOutageEndsTheUploadAndKeepsNothing() async throws {
        let api = API { $0.jobStorePatience = .milliseconds(10) }
        await api.jobs?.fail(.append, away)
        let answer = try await submit(api, three, key: "k")
        #expect(answer.status == 503 && answer.code == "database_unavailable")
        #expect(answer.headers[.retryAfter] != nil && !answer.text.contains("secret"))
        #expect(await api.jobs?.count == 0)
        #expect(await api.jobs?.discarded.count == 1)
        #expect(try await submit(api, three, key: "k").status == 202)
    }

    @Test func aFaultIsNotRepeated() async throws {
        let api = API()
        await api.jobs?.fail(.append, .internalFailure(details: ""))
        #expect(try await submit(api, three).status == 500)
        #expect(await api.jobs?.count == 0)
    }

    @Test func uploadsShareTheBodyBudget() async throws {
        let api = API {
            $0.maxBodyBytes = 1_000
            $0.maxBufferedBodyBytes = 1_000
        }
        let lines = (0..<30).map { #"{"text":"\#($0) \#(String(repeating: "t", count: 60))"}"# }
        #expect(try await submit(api, lines.joined(separator: "\n")).code == "too_many_body_bytes")
        #expect(await api.jobs?.count == 0)
        let pieces = lines.map { Array(($0 + "\n").utf8) }
        let bounded = API {
            $0.maxBodyBytes = 1_000
            $0.maxBufferedBodyBytes = 1_000
            $0.jobInputsPerAppend = 4
        }
        #expect(try await bounded.send(.post, "/v1/jobs", pieces: pieces, type: type).status == 202)
    }
}

/// Lets nobody go on before all have come. An actor: it is for waiting.
actor Meeting {
    private let count: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(count: Int) {
        self.count = count
    }

    func arrive() async {
        guard waiting.count + 1 < count else {
            for continuation in waiting { continuation.resume() }
            waiting = []
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }
}
