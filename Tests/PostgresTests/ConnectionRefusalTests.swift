import Postgres
import Testing

/// Messages as libpq 15 gives them at its most verbose, on one line.
struct ConnectionRefusalTests {
    private let place = "connection to server at \"127.0.0.1\", port 5432 failed: "

    @Test(arguments: [
        ("28P01", "password authentication failed for user \"joe\"", "auth_failed, auth.c:338"),
        ("28000", "no pg_hba.conf entry for host \"::1\", user \"joe\"", "ClientAuthentication, auth.c:543"),
        ("3D000", "database \"nosuch\" does not exist", "InitPostgres, postinit.c:1031"),
        ("42501", "permission denied for database \"x\"", "CheckMyDatabase, postinit.c:386"),
    ])
    func aServerThatKnowsBetterRefuses(code: String, reason: String, line: String) {
        let error = PostgresError.connecting(message: "\(place)FATAL:  \(code): \(reason) LOCATION:  \(line)")
        #expect(error == .server(PostgresServerError(code: code, message: "\(place)FATAL: \(reason)")))
    }

    @Test func aServerThatIsStartingMayAnswerLater() {
        let message = "\(place)FATAL:  57P03: the database system is starting up LOCATION:  ProcessStartupPacket"
        #expect(
            PostgresError.connecting(message: message)
                == .unavailable("\(place)FATAL: the database system is starting up (SQLSTATE 57P03)"))
    }

    @Test func aServerThatIsNotThereMayAnswerLater() {
        let message = "\(place)Connection refused \tIs the server running on that host?"
        #expect(PostgresError.connecting(message: message) == .unavailable(message))
    }

    @Test func theLastOfSeveralServersDecides() {
        let message = "\(place)FATAL:  57P03: starting LOCATION:  a \(place)FATAL:  28P01: wrong LOCATION:  b"
        #expect(PostgresError.connecting(message: message).code == "28P01")
    }

    @Test func aWaiterLearnsThatItWasRefused() {
        var state = PoolState(maximumConnections: 1)
        let waiter = PoolState.WaiterID(number: 1)
        let refusal = PostgresError.server(PostgresServerError(code: "28P01", message: "wrong"))
        let now = ContinuousClock.now
        _ = state.acquire(waiter, now: now)
        let early = state.expired(PoolState.WaiterID(number: 2))
        #expect(early == .none)
        _ = state.openingFailed(PoolState.ConnectionID(number: 1), refusal, jitter: 0, now: now)
        let expired = state.expired(waiter)
        #expect(expired == .fail(waiter, refusal))
    }
}
