import Postgres
import Synchronization
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation))
struct ListenerTests {
    private final class Record: Sendable {
        private let events = Mutex<[PostgresListener.Event]>([])

        func add(_ event: PostgresListener.Event) { events.withLock { $0.append(event) } }
        var all: [PostgresListener.Event] { events.withLock { $0 } }
        var payloads: [String] {
            all.compactMap { if case .notified(let payload) = $0 { payload } else { nil } }
        }
        var connectionCount: Int { all.count { $0 == .connected } }
    }

    private func listening(
        to channel: String, _ body: (TestDatabase, Record, PostgresConnection) async throws -> Void
    ) async throws {
        try await TestDatabase.with { database in
            let record = Record()
            let listener = PostgresListener(configuration: database.directConfiguration, channel: channel) {
                record.add($0)
            }
            let connection = try await database.connect()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await listener.run() }
                try await eventually("it does not listen") { record.connectionCount == 1 }
                try await body(database, record, connection)
                let start = ContinuousClock.now
                group.cancelAll()
                try await group.waitForAll()
                // A tenth of a second on an idle machine; it must not be the time of a connection or of a backoff.
                #expect(ContinuousClock.now - start < .seconds(3))
            }
            await connection.close()
        }
    }

    @Test func notificationsAreHeardInOrder() async throws {
        try await listening(to: "A \"channel\"") { _, record, connection in
            let payloads = (0..<200).map { "payload \($0)" }
            for payload in payloads {
                _ = try await connection.query("SELECT pg_notify('A \"channel\"', \(payload))")
                _ = try await connection.query("SELECT pg_notify('other', 'not for us')")
            }
            try await eventually("not every notification came") { record.payloads.count >= payloads.count }
            #expect(record.payloads == payloads)
            #expect(record.connectionCount == 1)
        }
    }

    @Test func itListensAgainWhenItsConnectionIsCut() async throws {
        try await listening(to: "wake") { _, record, connection in
            for round in 1...3 {
                let cut = try await connection.query(
                    """
                    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                    """)
                #expect(try cut.first?.decode(0, as: Int.self) == 1)
                try await eventually("it does not listen again") { record.connectionCount == round + 1 }
                _ = try await connection.query("SELECT pg_notify('wake', \(String(round)))")
                try await eventually("it hears nothing") { record.payloads.last == String(round) }
            }
            let failures = record.all.compactMap { if case .disconnected(let error) = $0 { error } else { nil } }
            #expect(failures.count == 3)
        }
    }

    @Test func itAsksNothingWhileNothingComes() async throws {
        try await listening(to: "wake") { _, record, connection in
            func statements() async throws -> String? {
                try await connection.query(
                    """
                    SELECT state || query || query_start FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                    """
                ).first?.decode(0)
            }
            let before = try #require(try await statements())
            try await Task.sleep(for: .milliseconds(500))
            #expect(try await statements() == before)
            #expect(record.all == [.connected])
        }
    }

    @Test func aServerThatIsNotThereIsTriedAgainAndAgain() async throws {
        let record = Record()
        let listener = PostgresListener(
            configuration: try PostgresConfiguration(url: "postgresql://u@127.0.0.1:1/d"), channel: "wake"
        ) { record.add($0) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await listener.run() }
            // Three tries take half a second; a loaded machine has more time.
            let deadline = ContinuousClock.now + .seconds(30)
            while record.all.count < 3, ContinuousClock.now < deadline {
                try? await Task.sleep(for: .milliseconds(20))
            }
            group.cancelAll()
        }
        #expect(record.all.count >= 3 && record.connectionCount == 0)
    }
}
