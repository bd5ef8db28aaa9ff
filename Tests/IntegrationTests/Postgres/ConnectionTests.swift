import Postgres
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation))
struct ConnectionTests {
    @Test func everyCodecRoundTrips() async throws {
        try await TestDatabase.withConnection { connection in
            try await expectRoundTrip(true, "bool", on: connection)
            try await expectRoundTrip(Int16.min, "int2", on: connection)
            try await expectRoundTrip(Int32.max, "int4", on: connection)
            try await expectRoundTrip(Int64.min, "int8", on: connection)
            try await expectRoundTrip(Int.max, "int8", on: connection)
            try await expectRoundTrip(Float(0.1), "float4", on: connection)
            try await expectRoundTrip(-Double.greatestFiniteMagnitude, "float8", on: connection)
            try await expectRoundTrip("größer \u{1F600} \"'\\", "text", on: connection)
            try await expectRoundTrip("", "text", on: connection)
            try await expectRoundTrip([UInt8](0...255), "bytea", on: connection)
            try await expectRoundTrip([UInt8](), "bytea", on: connection)
            try await expectRoundTrip(JSONBText(#"{"a": [1, null]}"#), "jsonb", on: connection)
            try await expectRoundTrip(
                PostgresTimestamp(microsecondsSinceUnixEpoch: 1_700_000_000_123_456), "timestamptz", on: connection)
            try await expectRoundTrip(String?.none, "text", on: connection)
            try await expectRoundTrip(["a", "", "{,}\""], "text[]", on: connection)
            try await expectRoundTrip(["a", nil] as [String?], "text[]", on: connection)
            try await expectRoundTrip([String](), "text[]", on: connection)
            try await expectRoundTrip([1, -1] as [Int64], "int8[]", on: connection)
            try await expectRoundTrip([1, nil] as [Int32?], "int4[]", on: connection)
            try await expectRoundTrip([true, false], "bool[]", on: connection)
            try await expectRoundTrip([[0, 1], []] as [[UInt8]], "bytea[]", on: connection)
            try await expectRoundTrip([1.5, -0.0], "float8[]", on: connection)
        }
    }

    /// Both ways, and held against the server's own text of it.
    private func expectRoundTrip<T: PostgresEncodable & PostgresDecodable & Equatable>(
        _ value: T, _ type: String, on connection: PostgresConnection
    ) async throws {
        let cast = PostgresStatement(unsafeSQL: "::" + type)
        let result = try await connection.query("SELECT \(value)\(sql: cast), pg_typeof(\(value))::text")
        let row = try #require(result.first)
        #expect(try row.decode(0, as: T.self) == value)
        let name = try row.decode(1, as: String.self)
        let expected = try await connection.query("SELECT \(type)::regtype::text").first?.decode(0, as: String.self)
        #expect(name == expected)
    }

    @Test func unnestTakesArraysOfTenThousand() async throws {
        try await TestDatabase.withConnection { connection in
            let ids = (0..<10_000).map { "id-\($0)" }
            let values = (0..<10_000).map { Int64($0) }
            let result = try await connection.query(
                "SELECT count(*), sum(v)::int8 FROM unnest(\(ids), \(values)) AS t(id, v)")
            #expect(try result.first?.decode(0, as: Int.self) == 10_000)
            #expect(try result.first?.decode(1, as: Int.self) == 49_995_000)
        }
    }

    @Test func affectedRowsAreCounted() async throws {
        try await TestDatabase.withConnection { connection in
            try await connection.script("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
            let updated = try await connection.query("UPDATE t SET a = a + \(Int32(1))")
            #expect(updated.affectedRowCount == 2 && updated.isEmpty)
        }
    }

    @Test func aServerErrorKeepsTheConnection() async throws {
        try await TestDatabase.withConnection { connection in
            try await connection.script("CREATE TABLE t (a int CONSTRAINT positive CHECK (a > 0))")
            let error = try await #require(throws: PostgresError.self) {
                try await connection.query("INSERT INTO t VALUES (\(Int32(-1)))")
            }
            guard case .server(let details) = error else {
                Issue.record(error)
                return
            }
            #expect(details.code == "23514" && details.constraint == "positive")
            #expect(try await connection.query("SELECT 1::int8").first?.decode(0, as: Int.self) == 1)
        }
    }

    @Test func aPipelinedTransactionCommitsWhole() async throws {
        try await TestDatabase.withConnection { connection in
            try await connection.script("CREATE TABLE t (a int)")
            let results = try await connection.transaction([
                "SET LOCAL enable_seqscan = off",
                "INSERT INTO t VALUES (\(Int32(1))), (2)",
                "SELECT a FROM t ORDER BY a",
            ])
            #expect(results.count == 3 && results[1].affectedRowCount == 2)
            #expect(try results[2].map { try $0.decode(0, as: Int.self) } == [1, 2])
            let setting = try await connection.query("SHOW enable_seqscan").first?.decode(0, as: String.self)
            #expect(setting == "on")
        }
    }

    @Test(arguments: ["SELECT 1/0", "this is not SQL", "INSERT INTO t VALUES (7)"])
    func aPipelinedTransactionRollsBackWhole(failing: String) async throws {
        try await TestDatabase.withConnection { connection in
            try await connection.script("CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            await #expect(throws: PostgresError.self) {
                try await connection.transaction([
                    "INSERT INTO t VALUES (7)", PostgresStatement(unsafeSQL: failing), "INSERT INTO t VALUES (8)",
                ])
            }
            #expect(try await connection.query("SELECT count(*) FROM t").first?.decode(0, as: Int.self) == 0)
            _ = try await connection.transaction(["INSERT INTO t VALUES (7)"])
            #expect(try await connection.query("SELECT count(*) FROM t").first?.decode(0, as: Int.self) == 1)
        }
    }

    @Test func aTransactionsLimitsAreItsOwn() async throws {
        try await TestDatabase.withConnection { connection in
            var names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
            if connection.serverVersion >= 170_000 { names.append("transaction_timeout") }
            let settings: PostgresStatement =
                "SELECT array_agg(current_setting(n) ORDER BY i) FROM unnest(\(names)) WITH ORDINALITY AS t (n, i)"
            func values(_ results: [PostgresResult]) throws -> [String] { try #require(results.first?.first).decode(0) }

            let inherited = try await connection.transaction([settings], timeout: .seconds(2))
            #expect(try values(inherited) == names.map { _ in "0" })
            let whole = try await connection.transaction([settings], timeout: .seconds(2), limits: .followingClient)
            #expect(try values(whole) == names.map { _ in "2500ms" })
            let short = try await connection.transaction(
                [settings], timeout: .seconds(2), limits: TransactionLimits(lock: .milliseconds(250)))
            #expect(try values(short)[1] == "250ms")
            let afterwards = try await connection.query(settings)
            #expect(try values([afterwards]) == names.map { _ in "0" })
        }
    }

    @Test func aLockIsWaitedForNoLongerThanItsLimit() async throws {
        try await TestDatabase.with { database in
            let (holder, waiter) = (try await database.connect(), try await database.connect())
            try await holder.script("CREATE TABLE t (a int)")
            try await holder.script("BEGIN; LOCK TABLE t")
            let error = await #expect(throws: PostgresError.self) {
                try await waiter.transaction(
                    ["INSERT INTO t VALUES (1)"], timeout: .seconds(5),
                    limits: TransactionLimits(lock: .milliseconds(100)))
            }
            #expect(error?.code == "55P03")
            try await holder.script("COMMIT")
            _ = try await waiter.transaction(["INSERT INTO t VALUES (1)"], limits: .followingClient)
        }
    }

    @Test func aLargePipelineDoesNotDeadlock() async throws {
        try await TestDatabase.withConnection { connection in
            let payload = String(repeating: "x", count: 1 << 20)
            let results = try await connection.transaction(
                Array(repeating: "SELECT \(payload)", count: 24), timeout: .seconds(60))
            #expect(try results.allSatisfy { try $0.first?.decode(0, as: String.self) == payload })
        }
    }

    @Test func aDeadlineEndsTheWaitAndTheConnection() async throws {
        try await TestDatabase.with { database in
            let connection = try await database.connect()
            let start = ContinuousClock.now
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query("SELECT pg_sleep(30)", timeout: .milliseconds(300))
            }
            #expect(ContinuousClock.now - start < .seconds(3))
            guard case .unavailable = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            await #expect(throws: PostgresError.unavailable("the connection is closed")) {
                try await connection.query("SELECT 1")
            }
            // The server does not go on with it.
            let other = try await database.connect()
            try await eventually("the cancelled statement still runs") {
                try await other.query(
                    """
                    SELECT count(*) FROM pg_stat_activity
                    WHERE pid = \(connection.serverProcessID) AND state = 'active'
                    """
                ).first?.decode(0, as: Int.self) == 0
            }
        }
    }

    @Test func aCancelledStatementEndsSoonAndKeepsItsConnection() async throws {
        try await TestDatabase.withConnection { connection in
            try await connection.script("CREATE TABLE t (a int)")
            for isTransaction in [false, true] {
                let start = ContinuousClock.now
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        await #expect(throws: PostgresError.cancelled) {
                            if isTransaction {
                                _ = try await connection.transaction(
                                    ["INSERT INTO t VALUES (1)", "SELECT pg_sleep(30)"], timeout: .seconds(40))
                            } else {
                                _ = try await connection.query("SELECT pg_sleep(30)", timeout: .seconds(40))
                            }
                        }
                    }
                    try? await Task.sleep(for: .milliseconds(200))  // So that it runs when it is cancelled.
                    group.cancelAll()
                }
                #expect(ContinuousClock.now - start < .seconds(3))
                #expect(try await connection.query("SELECT count(*) FROM t").first?.decode(0, as: Int.self) == 0)
            }
        }
    }

    @Test func aServerThatIsNotThereIsUnavailable() async throws {
        let configuration = try PostgresConfiguration(url: "postgresql://u@127.0.0.1:1/d")
        let error = await #expect(throws: PostgresError.self) { try await PostgresConnection.open(configuration) }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}

/// Asks again until it is so, for ten seconds.
func eventually(_ complaint: Comment, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record(complaint)
            return
        }
        try await Task.sleep(for: .milliseconds(50))
    }
}
