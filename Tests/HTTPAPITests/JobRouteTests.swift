import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct JobRouteTests {
    let api = API()
    let jobs: FakeJobStore

    init() throws {
        jobs = try #require(api.jobs)
    }

    @Test func aJobTellsHowItGoes() async throws {
        let id = await jobs.add(state: .running, count: 100, ended: 0..<30, failing: [4, 7])
        await jobs.change(id) {
            $0.inputsPerSecond = 12.34
            $0.tokenCount = 90
            $0.counts.deduplicated = 5
            $0.startedAt = Timestamp(microsecondsSinceUnixEpoch: 1_700_000_000_999_999)
        }
        let answer = try await api.send(.get, "/v1/jobs/\(id)")
        #expect(answer.status == 200)
        #expect(
            answer.object["counts"] == ["total": 100, "succeeded": 28, "failed": 2, "deduplicated": 5])
        #expect(answer.object["texts_per_second"] == 12.3 && answer.object["eta_seconds"] == 6)
        #expect(answer.object["tokens"] == 90 && answer.object["started_at"] == 1_700_000_000)
        #expect(answer.object["expires_at"] == .null && answer.object["failure"] == .null)
        let errors = try #require(answer.object["errors"]?.array)
        #expect(errors.first == ["index": 4, "id": "in-4", "code": "poison", "message": "no \"vector\""])
        #expect(errors.count == 2)
    }

    @Test func anEndedJobTellsWhenItExpires() async throws {
        let id = await jobs.add(state: .failed, count: 1, ended: [])
        await jobs.change(id) {
            $0.endedAt = Timestamp(microsecondsSinceUnixEpoch: 1_700_000_000_000_000)
            $0.failure = ItemError(code: "collection_dropped", message: "gone")
        }
        let answer = try await API(jobs: jobs) { $0.jobRetention = .seconds(3_600) }.send(.get, "/v1/jobs/\(id)")
        #expect(answer.object["expires_at"] == 1_700_003_600)
        #expect(answer.object["failure"] == ["code": "collection_dropped", "message": "gone"])
        #expect(answer.object["errors"] == [])
    }

    @Test(arguments: ["job_x", "none", "job_0123456789abcdefghijklmn", "job_0123456789ABCDEFGHIJKLMN"])
    func whatIsNoJobIsUnknown(id: String) async throws {
        for path in ["", "/results", "/errors", "/events"] {
            let answer = try await api.send(.get, "/v1/jobs/\(id)\(path)")
            #expect(answer.status == 404 && answer.code == "job_not_found")
        }
        for command in JobCommand.allCases {
            #expect(try await api.send(.post, "/v1/jobs/\(id)/\(command.rawValue)").code == "job_not_found")
        }
        #expect(try await api.send(.delete, "/v1/jobs/\(id)").code == "job_not_found")
    }

    @Test func otherMethodsAndPathsAreRefused() async throws {
        let id = JobID.random()
        #expect(try await api.send(.put, "/v1/jobs").headers[.allow] == "GET, POST")
        #expect(try await api.send(.post, "/v1/jobs/\(id)").headers[.allow] == "GET, DELETE")
        #expect(try await api.send(.get, "/v1/jobs/\(id)/pause").headers[.allow] == "POST")
        #expect(try await api.send(.post, "/v1/jobs/\(id)/results").status == 405)
        #expect(try await api.send(.post, "/v1/jobs/\(id)/restart").code == "not_found")
        #expect(try await api.send(.get, "/v1/jobs/\(id)/results/1").code == "not_found")
    }

    @Test func listsAreFilteredAndPaged() async throws {
        let collection = DocumentCollection(
            id: 1, name: try #require(CollectionName("demo")), modelName: "m",
            fingerprint: ModelFingerprint(bytes: Array(repeating: 7, count: 32)), dimensions: 8, metric: .cosine)
        let first = await jobs.add(state: .completed, count: 1, ended: [0])
        let second = await jobs.add(state: .queued, count: 1, ended: [], collection: collection)
        let third = await jobs.add(state: .running, count: 1, ended: [], source: .sql)
        func list(_ query: String) async throws -> ([String], JSONValue?) {
            let answer = try await api.send(.get, "/v1/jobs\(query)")
            #expect(answer.object["object"] == "list")
            let ids = answer.object["data"]?.array?.compactMap { $0.object?["id"]?.string } ?? []
            return (ids, answer.object["next"])
        }
        #expect(try await list("").0 == [third, second, first].map(\.description))
        let page = try await list("?limit=2")
        #expect(page.0 == [third, second].map(\.description) && page.1 == .string(second.description))
        let rest = try await list("?limit=2&after=\(second)")
        #expect(rest.0 == [first.description] && rest.1 == .null)
        #expect(try await list("?state=queued,completed").0 == [second, first].map(\.description))
        #expect(try await list("?collection=demo").0 == [second.description])
        #expect(try await list("?source=sql").0 == [third.description])
        #expect(try await list("?source=batch").0 == [])
    }

    @Test(arguments: [
        ("?state=receiving", "state"), ("?state=queued,", "state"), ("?state=Done", "state"), ("?source=ftp", "source"),
        ("?limit=0", "limit"), ("?limit=1001", "limit"), ("?after=x", "after"), ("?collection=A", "collection"),
        ("?status=queued", "status"),
    ])
    func wrongFiltersAreNamed(query: String, field: String) async throws {
        let answer = try await api.send(.get, "/v1/jobs\(query)")
        #expect(answer.status == 400 && answer.field == field)
    }

    @Test func commandsMoveTheJob() async throws {
        let id = await jobs.add(state: .running, count: 2, ended: [0], failing: [0])
        let steps: [(JobCommand, Int, String)] = [
            (.pause, 200, "paused"), (.retryFailed, 409, "paused"), (.resume, 200, "queued"),
            (.cancel, 200, "cancelled"),
            (.resume, 409, "cancelled"), (.pause, 409, "cancelled"), (.cancel, 200, "cancelled"),
        ]
        for (command, status, state) in steps {
            let answer = try await api.send(.post, "/v1/jobs/\(id)/\(command.rawValue)")
            #expect(answer.status == status, "\(command)")
            if status == 200 {
                #expect(answer.object["state"] == .string(state))
                #expect(answer.object["errors"]?.array?.count == 1)
            } else {
                #expect(answer.code == "job_state" && answer.message.contains(state))
            }
        }
        #expect(api.bell.count == 1)
        let done = await jobs.add(state: .completed, count: 1, ended: [0], failing: [0])
        #expect(try await api.send(.post, "/v1/jobs/\(done)/retry-failed").object["state"] == "queued")
        #expect(api.bell.count == 2)
    }

    @Test func aDeletedJobIsUnknown() async throws {
        let id = await jobs.add(state: .running, count: 1, ended: [])
        let answer = try await api.send(.delete, "/v1/jobs/\(id)")
        #expect(answer.json == ["id": .string(id.description), "object": "job", "deleted": true])
        #expect(try await api.send(.delete, "/v1/jobs/\(id)").status == 404)
        #expect(try await api.send(.get, "/v1/jobs/\(id)").status == 404)
    }

    @Test func errorsArePaged() async throws {
        let id = await jobs.add(state: .completed, count: 10, ended: 0..<10, failing: [1, 5, 9])
        let first = try await api.send(.get, "/v1/jobs/\(id)/errors?limit=2")
        #expect(first.object["data"]?.array?.map { $0.object?["index"] } == [1, 5])
        #expect(first.object["next"] == 5)
        let second = try await api.send(.get, "/v1/jobs/\(id)/errors?limit=2&after=5")
        #expect(second.object["data"]?.array?.map { $0.object?["id"] } == ["in-9"])
        #expect(second.object["next"] == .null)
        for (query, field) in [("limit=0", "limit"), ("after=-1", "after"), ("page=2", "page")] {
            #expect(try await api.send(.get, "/v1/jobs/\(id)/errors?\(query)").field == field)
        }
    }

    @Test func theDatabaseAwayIs503() async throws {
        let id = await jobs.add(state: .running, count: 1, ended: [])
        await jobs.fail(.job, .unavailable(details: "secret"))
        let answer = try await api.send(.get, "/v1/jobs/\(id)")
        #expect(answer.status == 503 && !answer.text.contains("secret"))
    }
}
