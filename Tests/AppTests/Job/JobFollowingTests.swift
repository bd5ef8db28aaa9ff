import App
import JSON
import NIOHTTP1
import Synchronization
import Testing

struct JobFollowingTests {
    private static func job(_ state: String, _ succeeded: Int, failed: Int = 0, more: String = "") -> String {
        """
        {"id":"job_1","object":"job","state":"\(state)","collection":null,\
        "counts":{"total":10,"succeeded":\(succeeded),"failed":\(failed),"deduplicated":0}\(more)}
        """
    }

    private static func events(_ jobs: [(String, String)]) -> String {
        jobs.map { "event: \($0.0)\ndata: \($0.1)\n\n" }.joined(separator: ": keep-alive\n\n")
    }

    /// The job as it ended, what was shown of it, and the paths that were asked for.
    private func follow(
        patience: Duration = .seconds(60),
        _ answer: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Answer
    ) async throws -> (job: JobReport, shown: [String], paths: [String]) {
        let shown = Mutex<[String]>([])
        let (job, requests) = try await LoopbackServer.with(answer: answer) { client in
            try await JobFollower(client: client, id: "job_1", interval: .zero, patience: patience).follow { job in
                shown.withLock { $0.append("\(job.state) \(job.ended)") }
            }
        }
        return (job, shown.withLock { $0 }, requests.map(\.uri))
    }

    private static let stream = [("Content-Type", "text/event-stream")]
    private static let path = "/prefix/v1/jobs/job_1"

    @Test func aJobIsFollowedOverItsEvents() async throws {
        let (job, shown, paths) = try await follow { request in
            request.uri.hasSuffix("/events")
                ? .whole(
                    .ok, Self.stream,
                    Self.events([
                        ("progress", Self.job("queued", 0)), ("progress", Self.job("running", 4)),
                        ("end", Self.job("completed", 9, failed: 1)),
                    ]))
                : .json(
                    .ok,
                    Self.job(
                        "completed", 9, failed: 1,
                        more: #","errors":[{"index":3,"id":"x","code":"poison","message":"no vector"}]"#))
        }
        #expect(shown == ["queued 0", "running 4", "completed 10"])
        #expect(paths == [Self.path + "/events", Self.path])
        let failure = try #require(job.commandFailure)
        #expect(failure.exitCode == 1)
        #expect(
            failure.message.contains("1 of 10 inputs")
                && failure.message.contains("input 3, id 'x': no vector (poison)"))
    }

    @Test(arguments: [HTTPResponseStatus.notFound, .tooManyRequests, .ok])
    func withoutEventsItIsAskedAgainAndAgain(status: HTTPResponseStatus) async throws {
        let (job, shown, _) = try await follow { request in
            guard !request.uri.hasSuffix("/events") else { return .json(status, #"{"error":{"code":"x"}}"#) }
            return .json(.ok, request.number < 4 ? Self.job("running", request.number) : Self.job("completed", 10))
        }
        #expect(shown == ["running 1", "running 3", "completed 10"])
        #expect(job.commandFailure == nil)
    }

    @Test func aLostConnectionIsMadeAnew() async throws {
        let (job, shown, _) = try await follow { request in
            switch request.number {
            case 0: .cut(.ok, Self.stream, Self.events([("progress", Self.job("running", 2))]))
            case 1, 2: .none
            case 3: .json(.serviceUnavailable, #"{"error":{"code":"unavailable","message":"m"}}"#)
            case 4: .whole(.ok, Self.stream, Self.events([("end", Self.job("cancelled", 3))]))
            default: .json(.ok, Self.job("cancelled", 3))
            }
        }
        #expect(shown == ["running 2", "cancelled 3"])
        #expect(job.commandFailure?.message == "job_1 was cancelled")
    }

    @Test func aJobThatIsDeletedIsGone() async throws {
        let (job, _, paths) = try await follow { _ in
            .whole(.ok, Self.stream, Self.events([("end", #"{"id":"job_1","object":"job","deleted":true}"#)]))
        }
        #expect(job.commandFailure?.message == "job_1 was deleted" && paths.count == 1)
    }

    @Test func anUnknownJobAndALastingSilenceAreFailures() async throws {
        let unknown = #"{"error":{"message":"there is no such job","code":"job_not_found"}}"#
        await #expect(
            throws: ServiceFailure.refused(status: 404, code: "job_not_found", message: "there is no such job")
        ) {
            try await follow { _ in .json(.notFound, unknown) }
        }
        await #expect(throws: ServiceFailure.self) { try await follow(patience: .zero) { _ in .none } }
    }

    // MARK: - What people see

    private func report(_ json: String) throws -> JobReport {
        try JobReport(try #require(try JSONValue(parsing: json).object))
    }

    @Test func aTerminalHasOneLineThatIsRewritten() throws {
        let written = Mutex("")
        var progress = JobProgress(isTerminal: true) { text in written.withLock { $0 += text } }
        progress.show(
            try report(Self.job("running", 4, failed: 1, more: #","texts_per_second":12.6,"eta_seconds":3725"#)))
        progress.show(try report(Self.job("completed", 10)))
        let start = "\r\u{1B}[K"
        #expect(
            written.withLock { $0 } == start
                + "job_1 running [###############···············] 50 %, 5 of 10, 1 failed, 13 texts/s, 1:02:05 left"
                + start + "job_1 completed [##############################] 100 %, 10 of 10\n")
    }

    @Test func elsewhereALineSaysWhatIsNew() throws {
        let written = Mutex("")
        var progress = JobProgress(isTerminal: false) { text in written.withLock { $0 += text } }
        let start = ContinuousClock.now
        progress.show(try report(Self.job("queued", 0)), now: start)
        progress.show(try report(Self.job("running", 0)), now: start)
        progress.show(try report(Self.job("running", 2)), now: start + .seconds(1))
        progress.show(try report(Self.job("running", 4)), now: start + .seconds(6))
        progress.show(try report(Self.job("running", 4)), now: start + .seconds(20))
        progress.show(try report(Self.job("completed", 10)), now: start + .seconds(21))
        #expect(
            written.withLock { $0 } == """
                job_1 queued 0 %, 0 of 10
                job_1 running 0 %, 0 of 10
                job_1 running 40 %, 4 of 10
                job_1 completed 100 %, 10 of 10

                """)
    }

    @Test func aTableHasAColumnForEachFact() throws {
        let table = JobTable()
        let job = try report(Self.job("running", 4, failed: 1, more: #","created_at":0"#))
        let cells = table.row(job).split(separator: " ").map(String.init)
        #expect(cells == ["job_1", "running", "5", "1", "10", "1970-01-01T00:00:00Z", "-"])
        #expect(table.heading.split(separator: " ").count == cells.count)
    }

    @Test(
        arguments: [
            ("completed", 0, nil), ("cancelled", 0, "job_1 was cancelled"),
            ("failed", 0, "job_1 has failed: the collection is gone (collection_not_found)"),
            ("completed", 2, "2 of 10 inputs of job_1 have no vector"),
        ] as [(String, Int, String?)])
    func howAJobEndsIsHowTheCommandEnds(state: String, failed: Int, message: String?) throws {
        let job = try report(
            Self.job(
                state, 10 - failed, failed: failed,
                more: #","failure":{"code":"collection_not_found","message":"the collection is gone"}"#))
        #expect(job.commandFailure?.message == message)
    }

    @Test(arguments: ["{}", #"{"id":"job_1"}"#])
    func whatIsNoJobIsNotBelieved(json: String) {
        #expect(throws: ServiceFailure.self) { try report(json) }
    }
}
