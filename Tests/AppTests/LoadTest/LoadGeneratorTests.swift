import App
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

/// Against servers of the test's own on the loopback; each run ends by its number of requests, not by the clock.
struct LoadGeneratorTests {
    private static let good = #"{"data":[],"usage":{"prompt_tokens":6}}"#

    private static func plan(_ address: ServiceAddress, _ kinds: [ClientKind], requests: Int) -> LoadPlan {
        var plan = LoadPlan(
            address: address, lanes: kinds.map { LoadPlan.Lane(kind: $0, apiKey: "secret") },
            texts: LoadTexts((0..<50).map { "text \($0)" }, seed: 1), modelName: "m")
        plan.warmUp = .zero
        plan.duration = .seconds(600)
        plan.maximumRequestCount = requests
        return plan
    }

    @Test func aClosedLoopTalliesAnswersAndRefusals() async throws {
        let kind = ClientKind(
            name: "all", loop: .closed(users: 3), textsPerRequest: 2, priority: "bulk", deadlineMilliseconds: 99)
        let (outcome, requests) = try await LoopbackServer.with(answer: { request in
            request.number.isMultiple(of: 3)
                ? .whole(
                    .tooManyRequests, [("retry-after-ms", "1"), ("Retry-After", "1")], #"{"error":{"code":"full"}}"#)
                : .json(.ok, Self.good)
        }) { client in
            try await LoadGenerator.run(Self.plan(client.address, [kind], requests: 60), stop: LoadStop())
        }
        #expect(requests.count == 60 && outcome.end == .requests)
        let tally = try #require(outcome.lanes.first).tally
        #expect(tally.requestCount == 60 && tally.answeredCount == 40 && tally.errorCount == 0)
        #expect(tally.refusals[.init(status: 429, code: "full")]?.usableRetryAfterCount == 20)
        #expect(tally.latency.count == 40 && tally.textsPerSecond > 0)
        let request = try #require(requests.first)
        #expect(request.uri == "/prefix/v1/embeddings")
        #expect(request.headers["Authorization"] == ["Bearer secret"])
        #expect(request.headers["X-Request-Timeout-Ms"] == ["99"])
        let body = try #require(try JSONValue(parsing: request.text).object)
        #expect(body["model"] == "m" && body["priority"] == "bulk" && body["encoding_format"] == "base64")
        #expect(body["input"]?.array?.count == 2)
    }

    @Test func anOpenLoopAsksWhateverBecomesOfIt() async throws {
        let kinds = [
            ClientKind(name: "fast", loop: .open(rate: 5_000)), ClientKind(name: "slow", loop: .open(rate: 500)),
        ]
        let (outcome, requests) = try await LoopbackServer.with(answer: { _ in .json(.ok, Self.good) }) { client in
            try await LoadGenerator.run(Self.plan(client.address, kinds, requests: 400), stop: LoadStop())
        }
        #expect(requests.count == 400)
        let counts = outcome.lanes.map(\.tally.answeredCount)
        // Their shares are the rates', but on a machine that falls behind both: then the kinds take turns.
        #expect(counts.reduce(0, +) == 400 && counts.allSatisfy { $0 > 5 })
        #expect(
            try #require(try JSONValue(parsing: requests[0].text).object)["input"]?.string?.hasPrefix("text ") == true)
    }

    @Test func lostConnectionsAreErrorsAndTheRunGoesOn() async throws {
        let kind = ClientKind(name: "all", loop: .closed(users: 2))
        let (outcome, _) = try await LoopbackServer.with(answer: { request in
            request.number.isMultiple(of: 2) ? .cut(.ok, [], Self.good) : .json(.ok, Self.good)
        }) { client in
            try await LoadGenerator.run(Self.plan(client.address, [kind], requests: 6), stop: LoadStop())
        }
        let tally = try #require(outcome.lanes.first).tally
        #expect(tally.errorCount == 3 && tally.answeredCount == 3 && tally.requestCount == 6)
    }

    @Test func wrongAnswersAreErrorsWhereTheyAreChecked() async throws {
        let kind = ClientKind(name: "all", loop: .closed(users: 1))
        let (outcome, _) = try await LoopbackServer.with(answer: { request in
            .json(.ok, #"{"data":[{"index":0,"embedding":[\#(request.number == 0 ? "0.5" : "0")]}]}"#)
        }) { client in
            var plan = Self.plan(client.address, [kind], requests: 2)
            plan.isChecked = true
            return try await LoadGenerator.run(plan, stop: LoadStop())
        }
        let tally = try #require(outcome.lanes.first).tally
        #expect(tally.answeredCount == 1 && tally.errors == ["a vector that is not finite, or zero": 1])
    }

    @Test func whoeverStopsItGetsWhatWasMeasured() async throws {
        let stop = LoadStop()
        let kind = ClientKind(name: "all", loop: .closed(users: 1))
        let (outcome, _) = try await LoopbackServer.with(answer: { request in
            if request.number == 20 { stop.raise() }
            return .json(.ok, Self.good)
        }) { client in
            try await LoadGenerator.run(Self.plan(client.address, [kind], requests: 100_000_000), stop: stop)
        }
        #expect(outcome.end == .interrupted)
        #expect(try #require(outcome.lanes.first).tally.answeredCount >= 20)
        #expect(outcome.seconds < 600)
    }

    @Test func whoeverStopsItBeforeItBeginsWaitsForNoConnection() async throws {
        let stop = LoadStop()
        stop.raise()
        let kinds = [ClientKind(name: "a", loop: .closed(users: 2)), ClientKind(name: "b", loop: .open(rate: 10))]
        // Whoever listens there is not asked.
        let plan = Self.plan(try ServiceAddress("http://127.0.0.1:1"), kinds, requests: 9)
        let outcome = try await LoadGenerator.run(plan, stop: stop)
        #expect(outcome.end == .interrupted && outcome.requestCount == 0 && outcome.seconds < 1)
        #expect(outcome.lanes.allSatisfy { $0.tally.errorCount == 0 && $0.tally.unsentCount == 0 })
    }

    @Test func fewerConnectionsThanItWouldBeginWithAreShared() async throws {
        let (outcome, requests) = try await LoopbackServer.with(answer: { _ in .json(.ok, Self.good) }) { client in
            var plan = Self.plan(
                client.address, [ClientKind(name: "all", loop: .open(rate: 5_000))], requests: 40)
            plan.maximumConnectionCount = 2
            return try await LoadGenerator.run(plan, stop: LoadStop())
        }
        #expect(outcome.end == .requests && requests.count == 40)
    }

    /// As a server near its limit of connections does with those that have been without a request longest.
    @Test func connectionsThatTheServerClosesBeforeTheirFirstRequestAreMadeAgain() async throws {
        let kind = ClientKind(name: "all", loop: .closed(users: 40))
        let (outcome, _) = try await LoopbackServer.with(
            closedConnectionCount: 8, answer: { _ in .json(.ok, Self.good) }
        ) {
            client in
            try await LoadGenerator.run(Self.plan(client.address, [kind], requests: 200), stop: LoadStop())
        }
        #expect(outcome.end == .requests)
        let tally = try #require(outcome.lanes.first).tally
        #expect(tally.requestCount == 200 && tally.answeredCount >= 192)
    }

    @Test func aServerThatNeverAnswersIsNotWaitedForForEver() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try ServiceAddress("http://127.0.0.1:\(server.localAddress?.port ?? 0)")
        var plan = Self.plan(address, [ClientKind(name: "all", loop: .closed(users: 2))], requests: 2)
        plan.requestTimeout = .milliseconds(150)
        let outcome = try await LoadGenerator.run(plan, stop: LoadStop())
        #expect(try #require(outcome.lanes.first).tally.errors == ["no answer in time": 2])
        // Nobody listens there any more.
        try await server.close()
        await #expect {
            _ = try await LoadGenerator.run(plan, stop: LoadStop())
        } throws: { error in
            if case ServiceFailure.unreachable = error { true } else { false }
        }
    }
}
