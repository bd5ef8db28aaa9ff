import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Storage
import Testing

struct BatchesRouteTests {
    @Test func aBatchIsValidatedEmbeddedAndAnsweredInOrder() async throws {
        let api = BatchAPI {
            $0.answersPerPage = 2
        } coordinate: {
            $0.requestsPerAppend = 2
            $0.inputsPerAppend = 3
            $0.resultsPerPage = 2
        }
        let id = try await api.makeBatch(
            BatchAPI.line("one", #"{"model":"alias","input":"red loaf"}"#),
            "", BatchAPI.line("many", #"{"input":["a b","c d","e f"],"encoding_format":"base64"}"#),
            BatchAPI.line("short", #"{"input":["g h"],"dimensions":3,"user":"someone"}"#),
            BatchAPI.line("empty", #"{"input":["fine",""]}"#), BatchAPI.line("poison", #"{"input":["good","bad"]}"#),
            extra: #","metadata":{"k":"v"},"output_expires_after":{"anchor":"created_at","seconds":7200}"#)
        var batch = try await api.batch(id)
        #expect(batch["status"] == "validating" && batch["object"] == "batch" && batch["errors"] == .null)
        #expect(batch["metadata"] == ["k": "v"] && batch["completion_window"] == "24h")
        let created = try #require(batch["created_at"]?.number?.integer)
        #expect(batch["expires_at"]?.number?.integer == created + 86_400)

        #expect(await api.coordinator.drain() == 1)
        batch = try await api.batch(id)
        #expect(batch["status"] == "in_progress" && batch["in_progress_at"]?.number?.integer == created)
        #expect(batch["request_counts"] == ["total": 5, "completed": 0, "failed": 1])
        #expect(batch["model"]?.string == api.embedder.model.name)
        // Nothing is to be done until the job ends.
        #expect(await api.coordinator.drain() == 0)

        try await api.work(failing: "bad")
        #expect(await api.coordinator.drain() == 1)
        batch = try await api.batch(id)
        #expect(batch["status"] == "completed")
        #expect(batch["request_counts"] == ["total": 5, "completed": 3, "failed": 2])
        #expect(batch["usage"]?.object?["total_tokens"] == 10 && batch["usage"]?.object?["output_tokens"] == 0)
        for name in ["finalizing_at", "completed_at"] { #expect(batch[name]?.number?.integer == created) }
        for name in ["failed_at", "expired_at", "cancelled_at"] { #expect(batch[name] == .null) }

        let output = try await api.lines(batch, "output_file_id")
        #expect(output.map { $0["custom_id"] } == ["one", "many", "short"])
        for line in output {
            #expect(line["error"] == .null && line["response"]?.object?["status_code"] == 200)
            #expect(line["id"]?.string?.hasPrefix("batch_req_") == true)
        }
        let bodies = output.compactMap { $0["response"]?.object?["body"]?.object }
        let direct = try await API(embedder: api.embedder).embeddings(#"{"input":"red loaf"}"#)
        // What is stored is rounded to half precision.
        for (stored, exact) in zip(Self.vector(bodies[0]), Self.vector(direct.object)) {
            #expect(abs(stored - exact) < 1e-3)
        }
        #expect(Self.vector(bodies[0]).count == 8 && bodies[0]["model"] == direct.object["model"])
        #expect(bodies[0]["usage"]?.object?["prompt_tokens"] == 2)
        #expect(bodies[1]["data"]?.array?.map { $0.object?["index"] } == [0, 1, 2])
        #expect(bodies[1]["data"]?.array?.allSatisfy { $0.object?["embedding"]?.string?.count == 44 } == true)
        #expect(bodies[2]["data"]?.array?.first?.object?["embedding"]?.array?.count == 3)

        let errors = try await api.lines(batch, "error_file_id")
        #expect(errors.map { $0["custom_id"] } == ["empty", "poison"])
        #expect(errors[0]["response"]?.object?["status_code"] == 400)
        #expect(errors[0]["error"]?.object?["message"]?.string?.contains("input[1] is an empty string") == true)
        #expect(errors[0]["response"]?.object?["body"]?.object?["error"]?.object?["param"] == "input[1]")
        #expect(errors[1]["response"]?.object?["status_code"] == 500)
        #expect(errors[1]["error"]?.object?["code"] == "poison")

        let file = try await api.send(.get, "/v1/files/\(try #require(batch["output_file_id"]?.string))").object
        #expect(file["purpose"] == "batch_output" && file["expires_at"]?.number?.integer == created + 7_200)
    }

    private static func vector(_ body: JSONObject) -> [Double] {
        (body["data"]?.array?.first?.object?["embedding"]?.array ?? []).compactMap { $0.number?.value }
    }

    @Test func badLinesAreToldWithTheirNumbersAndNoJobIsMade() async throws {
        let good = #"{"input":"x"}"#
        let cases: [(line: String, code: String, parameter: JSONValue)] = [
            ("{", "invalid_json_line", .null), ("[1]", "invalid_value", .null),
            (#"{"method":"POST","url":"/v1/embeddings","body":{"input":"x"}}"#, "invalid_value", "custom_id"),
            (BatchAPI.line("", good), "invalid_value", "custom_id"),
            (BatchAPI.line(String(repeating: "x", count: 513), good), "invalid_value", "custom_id"),
            (#"{"custom_id":7,"method":"POST","url":"/v1/embeddings","body":{}}"#, "invalid_value", "custom_id"),
            (#"{"custom_id":"m","method":"GET","url":"/v1/embeddings","body":{}}"#, "invalid_value", "method"),
            (#"{"custom_id":"u","method":"POST","url":"/v1/chat/completions","body":{}}"#, "invalid_value", "url"),
            (#"{"custom_id":"b","method":"POST","url":"/v1/embeddings"}"#, "invalid_value", "body"),
            (BatchAPI.line("1", #""text""#), "invalid_value", "body"),
            (BatchAPI.line("2", #"{"model":"other","input":"x"}"#), "model_not_found", "model"),
            (BatchAPI.line("3", "{}"), "invalid_value", "input"),
            (BatchAPI.line("4", #"{"input":[1,2]}"#), "token_input", "input"),
            (BatchAPI.line("5", #"{"input":[[1,2]]}"#), "token_input", "input"),
            (BatchAPI.line("6", #"{"input":7}"#), "invalid_value", "input"),
            (BatchAPI.line("7", #"{"input":"x","dimensions":9}"#), "invalid_value", "dimensions"),
            (BatchAPI.line("8", #"{"input":"x","encoding_format":"hex"}"#), "invalid_value", "encoding_format"),
            (BatchAPI.line("9", #"{"input":"x","truncate":"none"}"#), "invalid_value", "truncate"),
            (BatchAPI.line("9", #"{"input":"x","on_error":"per_item"}"#), "invalid_value", "on_error"),
            (BatchAPI.line("dup", good), "duplicate_custom_id", "custom_id"),
        ]
        let api = BatchAPI { _ in
        } coordinate: {
            $0.requestsPerAppend = 1
        }
        // The first line has the id that the last one repeats; the second is blank.
        let lines = [BatchAPI.line("dup", good), " "] + cases.map(\.line)
        let id = try await api.makeBatch(lines.joined(separator: "\n"))
        await api.coordinator.drain()
        let batch = try await api.batch(id)
        #expect(batch["status"] == "failed" && batch["failed_at"] != .null && batch["output_file_id"] == .null)
        #expect(batch["errors"]?.object?["object"] == "list")
        let errors = (batch["errors"]?.object?["data"]?.array ?? []).compactMap(\.object)
        #expect(errors.map { $0["line"]?.number?.integer } == Array(3..<(3 + cases.count)))
        for (error, expected) in zip(errors, cases) {
            #expect(error["code"]?.string == expected.code && error["param"] == expected.parameter, "\(error)")
        }
        #expect(try await api.jobs.jobs(JobQuery()).jobs.isEmpty)
        #expect(try await api.jobs.maintain(.init(abandonedUploads: .zero, endedJobs: .seconds(1))).sweptUploads == 0)
    }

    @Test(arguments: [
        ("too_many_requests", 4, ["1", "1", "1", "1"]), ("too_many_inputs", 2, ["2", "4"]),
        ("line_too_long", 2, ["1", "500"]), ("empty_file", nil, ["blank"]),
    ])
    func limitsAreHeld(code: String, line: Int?, lines: [String]) async throws {
        let api = BatchAPI { _ in
        } coordinate: {
            $0.maximumRequests = 3
            $0.maximumInputs = 5
            $0.maximumLineBytes = 1_000
        }
        let content = lines.enumerated().map { index, count in
            Int(count).map { count in
                BatchAPI.line(
                    "\(index)", #"{"input":[\#(Array(repeating: #""x""#, count: count).joined(separator: ","))]}"#)
            } ?? " "
        }
        let id = try await api.makeBatch(content.joined(separator: "\n") + "\n")
        await api.coordinator.drain()
        let batch = try await api.batch(id)
        let error = batch["errors"]?.object?["data"]?.array?.first?.object ?? JSONObject()
        #expect(batch["status"] == "failed" && error["code"]?.string == code, "\(batch)")
        #expect(error["line"]?.number?.integer == line)
    }

    @Test func notMoreThanAHundredFaultsAreTold() async throws {
        let api = BatchAPI()
        let id = try await api.makeBatch(Array(repeating: "{", count: 300).joined(separator: "\n"))
        await api.coordinator.drain()
        #expect(try await api.batch(id)["errors"]?.object?["data"]?.array?.count == 100)
    }

    @Test func aBatchThatNoRequestOfWhichCanBeEmbeddedCompletes() async throws {
        let api = BatchAPI()
        let id = try await api.makeBatch(BatchAPI.line("a", #"{"input":""}"#), BatchAPI.line("b", #"{"input":[]}"#))
        #expect(await api.coordinator.drain() == 2)
        let batch = try await api.batch(id)
        #expect(batch["status"] == "completed" && batch["output_file_id"] == .null)
        #expect(batch["request_counts"] == ["total": 2, "completed": 0, "failed": 2])
        #expect(try await api.lines(batch, "error_file_id").count == 2)
        #expect(try await api.jobs.jobs(JobQuery()).jobs.isEmpty)
    }

    private func longBatch(_ api: BatchAPI) async throws -> String {
        let lines = (0..<600).map { BatchAPI.line("r\($0)", #"{"input":"text \#($0)"}"#) }
        let id = try await api.makeBatch(lines.joined(separator: "\n"))
        await api.coordinator.drain()
        try await api.work(segments: 1)
        return id
    }

    @Test func whatIsDoneIsKeptWhenABatchIsCancelled() async throws {
        let api = BatchAPI()
        let id = try await longBatch(api)
        let done = try #require(try await api.batch(id)["request_counts"]?.object?["completed"]?.number?.integer)
        #expect((1..<600).contains(done))
        let cancelling = try await api.send(.post, "/v1/batches/\(id)/cancel")
        #expect(cancelling.status == 200 && cancelling.object["status"] == "cancelling")
        #expect(cancelling.object["cancelling_at"] != .null)
        await api.coordinator.drain()
        let batch = try await api.batch(id)
        #expect(batch["status"] == "cancelled" && batch["cancelled_at"] != .null)
        #expect(batch["request_counts"]?.object?["completed"]?.number?.integer == done)
        #expect(try await api.lines(batch, "output_file_id").count == done)
        let errors = try await api.lines(batch, "error_file_id")
        #expect(errors.count == 600 - done && errors.allSatisfy { $0["response"] == .null })
        #expect(errors.allSatisfy { $0["error"]?.object?["code"] == "batch_cancelled" })
        #expect(try await api.jobs.jobs(JobQuery()).jobs.map(\.state) == [.cancelled])
        // Again: nothing changes.
        #expect(try await api.send(.post, "/v1/batches/\(id)/cancel").object["status"] == "cancelled")
        #expect(await api.coordinator.drain() == 0)
    }

    @Test func whatIsNotDoneInADayExpires() async throws {
        let api = BatchAPI()
        let id = try await longBatch(api)
        api.clock.advance(by: 86_399)
        #expect(await api.coordinator.drain() == 0)
        api.clock.advance(by: 1)
        #expect(await api.coordinator.drain() == 1)
        let batch = try await api.batch(id)
        #expect(batch["status"] == "expired" && batch["expired_at"] != .null && batch["completed_at"] == .null)
        let errors = try await api.lines(batch, "error_file_id")
        #expect(!errors.isEmpty && errors.allSatisfy { $0["error"]?.object?["code"] == "batch_expired" })
        #expect(try await api.lines(batch, "output_file_id").count + errors.count == 600)
        let late = try await api.send(.post, "/v1/batches/\(id)/cancel")
        #expect(late.status == 409 && late.code == "batch_state")
    }

    @Test func cancelledBeforeValidationNothingIsDone() async throws {
        let api = BatchAPI()
        let id = try await api.makeBatch(BatchAPI.line("a", #"{"input":"x"}"#))
        let file = try #require(try await api.batch(id)["input_file_id"]?.string)
        let inUse = try await api.send(.delete, "/v1/files/\(file)")
        #expect(inUse.status == 409 && inUse.code == "file_in_use" && inUse.message.contains(id))
        _ = try await api.send(.post, "/v1/batches/\(id)/cancel")
        #expect(try await api.send(.delete, "/v1/files/\(file)").status == 200)
        await api.coordinator.drain()
        let batch = try await api.batch(id)
        #expect(batch["status"] == "cancelled" && batch["error_file_id"] == .null)
        #expect(batch["request_counts"] == ["total": 0, "completed": 0, "failed": 0])
        #expect(try await api.jobs.jobs(JobQuery()).jobs.isEmpty)
    }

    /// As after a crash: the batch is taken up again when the lease is over, and one job comes of it, whatever the first
    /// attempt had done.
    @Test(arguments: [false, true])
    func aBatchBegunTwiceMakesOneJob(wasCommitted: Bool) async throws {
        let api = BatchAPI()
        let id = try await api.makeBatch(BatchAPI.line("a", #"{"input":"x"}"#), BatchAPI.line("b", #"{"input":"y"}"#))
        let first = try #require(try await api.batches.claimBatch(for: .seconds(30)))
        let draft = try await api.jobs.beginJob(
            JobSpecification(
                source: .batch, owner: .anonymous, collection: nil, model: api.embedder.model, idempotencyKey: id))
        #expect(try await api.batches.beginValidation(first.lease, draft: draft))
        _ = try await api.batches.append(
            [
                BatchRequest(
                    line: 1, customID: "a", content: .refused(ItemError(code: "x", message: "x"), parameter: nil))
            ],
            first.lease)
        try await api.jobs.append([JobInput(id: "a", content: .success(.init(text: "x")))], at: 0, to: draft)
        if wasCommitted {
            let hash = RequestHash(bytes: Array(id.utf8) + [0, 0])
            _ = try await api.jobs.commit(draft, hash: hash)
        }
        #expect(await api.coordinator.drain() == 0)
        api.clock.advance(by: 31)
        #expect(await api.coordinator.drain() == 1)
        let jobs = try await api.jobs.jobs(JobQuery()).jobs
        #expect(jobs.count == 1 && (jobs[0].id == draft) == wasCommitted)
        // Who lost the lease writes nothing more.
        #expect(try await api.batches.refuse(first.lease, errors: []) == false)
        #expect(try await api.batches.append([], first.lease) == .leaseLost)
        #expect(try await api.batch(id)["request_counts"]?.object?["total"] == 2)
    }

    @Test func aValidationThatKeepsKillingItsProcessIsGivenUp() async throws {
        let api = BatchAPI()
        let id = try await api.makeBatch(BatchAPI.line("a", #"{"input":"x"}"#))
        for _ in 0..<5 {
            #expect(try await api.batches.claimBatch(for: .seconds(30)) != nil)
            api.clock.advance(by: 31)
        }
        await api.coordinator.drain()
        let batch = try await api.batch(id)
        #expect(batch["status"] == "failed")
        #expect(batch["errors"]?.object?["data"]?.array?.first?.object?["code"] == "internal_error")
    }

    @Test(arguments: [
        (#"{}"#, "input_file_id"), (#"{"input_file_id":"FILE"}"#, "endpoint"),
        (#"{"input_file_id":"FILE","endpoint":"/v1/chat/completions"}"#, "endpoint"),
        (#"{"input_file_id":"FILE","endpoint":"/v1/embeddings"}"#, "completion_window"),
        (#"{"input_file_id":"FILE","endpoint":"/v1/embeddings","completion_window":"1h"}"#, "completion_window"),
        (
            #"{"input_file_id":"FILE","endpoint":"/v1/embeddings","completion_window":"24h","metadata":{"a":1}}"#,
            "metadata"
        ),
        (
            #"{"input_file_id":"FILE","endpoint":"/v1/embeddings","completion_window":"24h","output_expires_after":{"anchor":"created_at","seconds":1}}"#,
            "output_expires_after.seconds"
        ),
    ])
    func aRefusedMemberIsNamed(body: String, field: String) async throws {
        let api = BatchAPI()
        let file = try #require(try await api.upload("{}").object["id"]?.string)
        let answer = try await api.send(.post, "/v1/batches", body.replacing("FILE", with: file))
        #expect(answer.status == 400 && answer.field == field, "\(answer.text)")
    }

    @Test func whatIsUnknownIsNotFound() async throws {
        let api = BatchAPI()
        let missing = FileID.random()
        for id in [missing.description, "nonsense"] {
            let answer = try await api.send(
                .post, "/v1/batches",
                #"{"input_file_id":"\#(id)","endpoint":"/v1/embeddings","completion_window":"24h"}"#)
            #expect(answer.status == 404 && answer.field == "input_file_id")
        }
        for id in [BatchID.random().description, "nonsense"] {
            #expect(try await api.send(.get, "/v1/batches/\(id)").code == "batch_not_found")
            #expect(try await api.send(.post, "/v1/batches/\(id)/cancel").status == 404)
            #expect(try await api.send(.get, "/v1/batches?after=\(id)").status == 404)
        }
    }

    @Test func batchesAreListedNewestFirst() async throws {
        let api = BatchAPI()
        var ids: [String] = []
        for _ in 0..<3 { ids.append(try await api.makeBatch(BatchAPI.line("a", #"{"input":"x"}"#))) }
        let first = try await api.send(.get, "/v1/batches?limit=2").object
        #expect(first["data"]?.array?.map { $0.object?["id"]?.string } == [ids[2], ids[1]])
        #expect(first["has_more"] == true && first["last_id"]?.string == ids[1])
        let second = try await api.send(.get, "/v1/batches?limit=2&after=\(ids[1])").object
        #expect(second["data"]?.array?.map { $0.object?["id"]?.string } == [ids[0]] && second["has_more"] == false)
    }

    @Test func outputIsGoneWithTheResults() async throws {
        let api = BatchAPI()
        let id = try await api.makeBatch(BatchAPI.line("a", #"{"input":"x"}"#))
        await api.coordinator.drain()
        try await api.work()
        await api.coordinator.drain()
        let file = try #require(try await api.batch(id)["output_file_id"]?.string)
        // As --job-retention has it, however long files are kept.
        api.clock.advance(by: 168 * 3_600 - 1)
        #expect(try await api.send(.get, "/v1/files/\(file)/content").status == 200)
        api.clock.advance(by: 1)
        #expect(try await api.send(.get, "/v1/files/\(file)/content").status == 404)
    }
}

struct BatchDutyTests {
    private func leased(
        _ status: BatchStatus, job: JobID? = .random(), isOverdue: Bool = false, attempt: Int = 1,
        ending: BatchEnding? = nil
    ) -> LeasedBatch {
        let moment = Timestamp(microsecondsSinceUnixEpoch: 0)
        let batch = Batch(
            id: .random(), status: status, owner: .anonymous, inputFile: .random(), job: job,
            moments: BatchMoments(created: moment, expires: moment))
        return LeasedBatch(
            lease: BatchLease(batch: batch.id, token: 1), batch: batch, attempt: attempt, isOverdue: isOverdue,
            ending: ending)
    }

    private func job(_ state: JobState) -> Job {
        Job(
            id: .random(), state: state, source: .batch, owner: .anonymous, collection: nil, modelName: "m",
            dimensions: 1, priority: 0, counts: JobCounts(), tokenCount: 0,
            createdAt: Timestamp(microsecondsSinceUnixEpoch: 0))
    }

    private func duty(_ leased: LeasedBatch, _ job: Job? = nil) -> BatchDuty {
        BatchDuty(leased, job: job, maximumAttempts: 3)
    }

    @Test func eachStateHasItsDuty() {
        #expect(duty(leased(.validating)) == .validate)
        #expect(duty(leased(.validating, isOverdue: true, attempt: 3)) == .validate)
        #expect(duty(leased(.validating, attempt: 4)) == .giveUp)
        for state in [JobState.queued, .running, .paused] {
            #expect(duty(leased(.inProgress), job(state)) == .wait)
            #expect(duty(leased(.inProgress, isOverdue: true), job(state)) == .finish(.expired, stopsJob: true))
        }
        for state in [JobState.completed, .failed] {
            for isOverdue in [false, true] {
                #expect(
                    duty(leased(.inProgress, isOverdue: isOverdue), job(state)) == .finish(.completed, stopsJob: false))
            }
        }
        #expect(duty(leased(.inProgress), job(.cancelled)) == .finish(.cancelled, stopsJob: false))
        #expect(duty(leased(.inProgress)) == .finish(.cancelled, stopsJob: false))
        #expect(duty(leased(.inProgress, job: nil)) == .finish(.completed, stopsJob: false))
        #expect(duty(leased(.finalizing, ending: .expired), job(.running)) == .finish(.expired, stopsJob: true))
        #expect(duty(leased(.finalizing, ending: .completed), job(.completed)) == .finish(.completed, stopsJob: false))
        #expect(duty(leased(.cancelling), job(.running)) == .finish(.cancelled, stopsJob: true))
        for status in [BatchStatus.failed, .completed, .expired, .cancelled] { #expect(duty(leased(status)) == .wait) }
    }
}
