import Embeddings
import HTTPAPI
import JSON
import Synchronization
import Testing

/// `/v1/live` over real sockets of 127.0.0.1. Intervals are configured short; nothing sleeps but the server.
@Suite(.timeLimit(.minutes(1)))
struct LiveEventsTests {
    private struct Event {
        let name: String
        let data: JSONObject

        init(_ text: String) {
            // Between two events stand the ends of chunks.
            let lines = text.split(whereSeparator: \.isNewline)
            name = lines.first { $0.hasPrefix("event: ") }.map { String($0.dropFirst(7)) } ?? ""
            let json = lines.first { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) } ?? ""
            data = (try? JSONValue(parsing: json))?.object ?? JSONObject()
        }
    }

    @Test func aWatcherHearsOfPassesLanesAndRates() async throws {
        let batcher = LiveBatcher()
        try await withServer(
            batcher: batcher, configure: { $0.liveInterval = .milliseconds(2) }
        ) {
            server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                let head = try await connection.read(through: "\r\n\r\n").lowercased()
                #expect(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"))
                var events: [Event] = []
                while events.count(where: { $0.name == "activity" }) < 3 {
                    events.append(Event(try await connection.read(through: "\n\n")))
                }
                #expect(events.first?.name == "hello")
                let activities = events.filter { $0.name == "activity" }
                let last = try #require(activities.last).data
                let pass = try #require(last["passes"]?.array?.first?.object)
                #expect(pass["thread"] == 1 && pass["lane"] == "bulk" && pass["ms"] == 12.34)
                #expect(pass["shared"] == false && pass["interlude"] == false)
                #expect(pass["texts"] == 3 && pass["tokens"] == 12 && pass["width"] == 5)
                #expect(pass["lengths"] == [5, 3, 4])
                #expect(last["running"]?.array?.first?.object?["ms"] == .null)
                let lanes = last["lanes"]?.object
                #expect(lanes?["interactive"] == ["texts": 2, "tokens": 9, "oldest_ms": 1_500.0])
                #expect(lanes?["bulk"] == ["texts": 0, "tokens": 0, "oldest_ms": .null])
                #expect(last["active_requests"] == 3 && last["admitted_tokens"] == 77)
                #expect(last["texts_per_pass"] == 3.0 && last["tokens_per_pass"] == 12.0 && last["real_share"] == 0.8)
                #expect((last["texts_per_second"]?.number?.value ?? 0) > 0)
                #expect(last["refused"] == ["overloaded": 4] && last["dropped"] == ["waiting": 6, "running": 0])
                let times = activities.compactMap { $0.data["now_ms"]?.number?.value }
                #expect(times.count == 3 && times == times.sorted())
            }
        }
    }

    @Test func jobsAreToldWhereTheyChange() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .running, count: 10, ended: 0..<2)
        _ = await jobs.add(state: .completed, count: 1, ended: 0..<1)
        try await withServer(
            jobs: jobs, batcher: LiveBatcher(),
            configure: {
                $0.liveInterval = .milliseconds(2)
                $0.eventInterval = .milliseconds(2)
            }
        ) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                func next() async throws -> JSONObject {
                    while true {
                        let event = Event(try await connection.read(through: "\n\n"))
                        if event.name == "jobs" { return event.data }
                    }
                }
                let first = try await next()["data"]?.array ?? []
                #expect(first.map { $0.object?["state"] } == ["running", "completed"])
                #expect(first.first?.object?["id"] == .string(id.description))
                // Who missed it hears it again.
                #expect(try await next()["data"]?.array == first)
                await jobs.change(id) { $0.counts.succeeded = 7 }
                // Told at once or, at the latest, where it would be repeated.
                var changed = first
                while changed == first { changed = try await next()["data"]?.array ?? [] }
                #expect(changed.first?.object?["counts"]?.object?["succeeded"] == 7)
            }
        }
    }

    /// What a watcher has seen, once it is done.
    private final class Sightings: Sendable {
        private let numbers = Mutex<[Int]?>(nil)

        var all: [Int]? { numbers.withLock { $0 } }
        func finish(_ seen: [Int]) { numbers.withLock { $0 = seen } }
    }

    @Test func oneSamplerServesAllWatchers() async throws {
        let batcher = LiveBatcher()
        let later = Sightings()
        try await withServer(batcher: batcher, configure: { $0.liveInterval = .milliseconds(20) }) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (begun, signal) = AsyncStream.makeStream(of: Void.self)
                group.addTask {
                    for await _ in begun { break }
                    let seen = try await server.withConnection { connection in
                        try await connection.write(.get("/v1/live"))
                        var seen: [Int] = []
                        while seen.count < 10 { seen.append(try await Self.nextPass(&connection)) }
                        return seen
                    }
                    later.finish(seen)
                }
                let seen = try await server.withConnection { connection in
                    try await connection.write(.get("/v1/live"))
                    var seen = [try await Self.nextPass(&connection)]
                    signal.yield()
                    // On to what the other one saw last.
                    while later.all.map({ $0.last ?? 0 > seen.last ?? 0 }) ?? true {
                        seen.append(try await Self.nextPass(&connection))
                    }
                    return seen
                }
                try await group.waitForAll()
                let others = try #require(later.all)
                // Every look in its order and once. Looks of one's own nobody else would see; a slow machine may lose some.
                #expect(seen == Array(Set(seen)).sorted() && others == Array(Set(others)).sorted())
                #expect(others.count == 10 && !Set(others).isDisjoint(with: seen))
            }
        }
    }

    /// The number of the pass that the next `activity` tells.
    private static func nextPass(_ connection: inout RawConnection) async throws -> Int {
        while true {
            let event = Event(try await connection.read(through: "\n\n"))
            let pass = event.data["passes"]?.array?.first?.object
            if event.name == "activity", let number = pass?["pass"]?.number?.integer { return number }
        }
    }

    @Test func nobodyIsSampledForNobody() async throws {
        let batcher = LiveBatcher()
        try await withServer(
            batcher: batcher, configure: { $0.liveInterval = .milliseconds(1) }
        ) {
            server in
            for _ in 0..<20 { _ = try await server.send(.get("/livez")) }
            #expect(batcher.lookCount == 0)
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                while batcher.lookCount < 3 { _ = try await connection.read(through: "\n\n") }
            }
            try await Self.awaitQuiet(batcher, on: server)
            // And again for the next one.
            let before = batcher.lookCount
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                while batcher.lookCount < before + 3 { _ = try await connection.read(through: "\n\n") }
            }
        }
    }

    /// A page that is loaded again: the jobs' next look is far away when the first watcher leaves.
    @Test func whoComesAgainSoonHearsOfActivity() async throws {
        let batcher = LiveBatcher()
        try await withServer(
            batcher: batcher,
            configure: {
                $0.liveInterval = .milliseconds(1)
                $0.eventInterval = .seconds(3_600)
            }
        ) { server in
            for _ in 0..<3 {
                try await server.withConnection { connection in
                    try await connection.write(.get("/v1/live"))
                    let first = try await Self.nextPass(&connection)
                    #expect(try await Self.nextPass(&connection) > first)
                }
                try await Self.awaitQuiet(batcher, on: server)
            }
        }
    }

    @Test func watchersTakeThePlacesOfEventStreams() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .running, count: 4, ended: [])
        try await withServer(
            jobs: jobs, batcher: LiveBatcher(), configure: { $0.maxEventStreams = 1 }
        ) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                _ = try await connection.read(through: "\n\n")
                for path in ["/v1/live", "/v1/jobs/\(id)/events"] {
                    let refused = try await server.send(.get(path))
                    #expect(refused.status == 503 && refused.code == "too_many_event_streams")
                }
            }
            try await Self.awaitPlace(on: server)
        }
    }

    @Test func whoDoesNotReadIsCut() async throws {
        let batcher = LiveBatcher(lengths: Array(repeating: 400, count: 50_000))
        try await withServer(
            batcher: batcher,
            configure: {
                $0.maxEventStreams = 1
                $0.liveInterval = .milliseconds(1)
                $0.responseTimeout = .milliseconds(200)
            }
        ) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                _ = try await connection.read(through: "\r\n\r\n")
                // Nothing more is read, and yet the place is given to another one.
                try await Self.awaitPlace(on: server)
                _ = await connection.countToEnd()
            }
        }
    }

    @Test func shutdownDoesNotWaitForWatchers() async throws {
        try await withServer(
            batcher: LiveBatcher(),
            configure: {
                $0.liveInterval = .seconds(3_600)
                $0.eventInterval = .seconds(3_600)
            }
        ) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                _ = try await connection.read(through: "event: activity")
                await server.stop()
                #expect(try await connection.read(through: "0\r\n\r\n").hasSuffix("0\r\n\r\n"))
                #expect(await connection.isClosedByServer())
            }
        }
    }

    /// Returns once nobody looks at the batcher any more.
    private static func awaitQuiet(_ batcher: LiveBatcher, on server: RunningServer) async throws {
        var seen = -1
        var quietRounds = 0
        while quietRounds < 200 {
            quietRounds = batcher.lookCount == seen ? quietRounds + 1 : 0
            seen = batcher.lookCount
            _ = try await server.send(.get("/livez"))
        }
    }

    /// Returns once `/v1/live` has a place for another watcher.
    private static func awaitPlace(on server: RunningServer) async throws {
        var isOpen = false
        while !isOpen {
            isOpen = try await server.withConnection { connection in
                try await connection.write(.get("/v1/live"))
                return try await connection.read(through: "\r\n").contains("200")
            }
        }
    }
}
