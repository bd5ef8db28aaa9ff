import Glibc
import Postgres
import Testing

/// A server that takes connections and never says a word, as a stopped one does.
struct SilentServerTests {
    /// The limit is far above the deadlines, since the other tests keep every core busy; a hang would last for ever.
    @Test func aCallerIsTurnedAwayAtItsDeadline() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, length) + listen(listener, 16) + getsockname(listener, generic, &length)
            }
        }
        try #require(status == 0)
        let port = UInt16(bigEndian: address.sin_port)
        var configuration = try PostgresConfiguration(url: "postgresql://u@127.0.0.1:\(port)/d?sslmode=disable")
        configuration.connectTimeout = .milliseconds(200)
        configuration.acquireTimeout = .milliseconds(200)
        let pool = PostgresPool(configuration: configuration)
        let start = ContinuousClock.now
        let error = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
        #expect(ContinuousClock.now - start < .seconds(60))
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // An attempt that is under way does not hold up the end.
        await pool.close()
        #expect(ContinuousClock.now - start < .seconds(60))
    }
}

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation))
struct PoolTests {
    @Test func manyCallersShareFewConnections() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.maximumConnections = 3
            configuration.acquireTimeout = .seconds(30)
            let pool = PostgresPool(configuration: configuration)
            let processes = try await withThrowingTaskGroup(of: Int32.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        let result = try await pool.query("SELECT pg_backend_pid(), \(number)")
                        #expect(try result.first?.decode(1, as: Int.self) == number)
                        return try result.first?.decode(0) ?? 0
                    }
                }
                return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
            }
            #expect((1...3).contains(processes.count))
            await pool.close()
            await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
        }
    }

    @Test func aWaiterGivesUpAtItsDeadline() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.maximumConnections = 1
            configuration.acquireTimeout = .milliseconds(200)
            let pool = PostgresPool(configuration: configuration)
            // Opening the one connection may itself take longer than the wait.
            try await eventually("no connection could be opened") {
                do throws(PostgresError) {
                    _ = try await pool.query("SELECT 1")
                    return true
                } catch {
                    return false
                }
            }
            try await pool.withConnection { _ async throws(PostgresError) in
                _ = await #expect(throws: PostgresError.unavailable("every connection is in use")) {
                    try await pool.query("SELECT 1")
                }
            }
            _ = try await pool.query("SELECT 1")
            await pool.close()
        }
    }

    @Test func aConnectionThatTheServerEndedIsReplacedUnseen() async throws {
        try await TestDatabase.with { database in
            let pool = PostgresPool(configuration: database.configuration)
            let other = try await database.connect()
            for _ in 0..<5 {
                let process = try await pool.query("SELECT pg_backend_pid()").first?.decode(0, as: Int32.self)
                _ = try await other.query("SELECT pg_terminate_backend(\(process), 5000)")
                let next = try await pool.read("SELECT pg_backend_pid()").first?.decode(0, as: Int32.self)
                #expect(next != process)
            }
            await pool.close()
        }
    }

    @Test func aConnectionEndedUnderAStatementIsUnavailableAndNotReused() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.maximumConnections = 1
            let pool = PostgresPool(configuration: configuration)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.query("SELECT pg_terminate_backend(pg_backend_pid())")
            }
            guard case .unavailable = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            let one = try await pool.query("SELECT 1::int8").first?.decode(0, as: Int.self)
            #expect(one == 1)
            await pool.close()
        }
    }

    @Test func anOpenTransactionIsNotHandedOn() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.maximumConnections = 1
            let pool = PostgresPool(configuration: configuration)
            try await pool.withConnection { connection async throws(PostgresError) in
                _ = try await connection.query("BEGIN")
                _ = try await connection.query("CREATE TABLE t (a int)")
            }
            let found = try await pool.query("SELECT to_regclass('t') IS NULL").first?.decode(0, as: Bool.self)
            #expect(found == true)
            await pool.close()
        }
    }

    @Test func aCancelledWaiterLeavesAtOnce() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.maximumConnections = 1
            configuration.acquireTimeout = .seconds(30)
            let pool = PostgresPool(configuration: configuration)
            let start = ContinuousClock.now
            try await pool.withConnection { _ async throws(PostgresError) in
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        await #expect(throws: PostgresError.cancelled) { try await pool.query("SELECT 1") }
                    }
                    try? await Task.sleep(for: .milliseconds(100))  // So that it waits when it is cancelled.
                    group.cancelAll()
                }
            }
            #expect(ContinuousClock.now - start < .seconds(10))
            await pool.close()
        }
    }
}
