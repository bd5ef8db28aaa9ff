import Postgres
import Testing

/// The pool's decisions, with a clock that stands still unless a test moves it.
struct PoolStateTests {
    private let start = ContinuousClock.now
    private let refused = PostgresError.unavailable("connection refused")

    private func connection(_ number: Int) -> PoolState.ConnectionID { .init(number: number) }
    private func waiter(_ number: Int) -> PoolState.WaiterID { .init(number: number) }

    @Test func connectionsAreOpenedOnlyWhenNeededAndUpToTheLimit() {
        var state = PoolState(maximumConnections: 2)
        let first = state.acquire(waiter(1), now: start)
        #expect(first == .wait(opening: .init(id: connection(1), start: start)))
        let second = state.acquire(waiter(2), now: start)
        #expect(second == .wait(opening: .init(id: connection(2), start: start)))
        let third = state.acquire(waiter(3), now: start)
        #expect(third == .wait(opening: nil))
    }

    @Test func waitersAreServedInTurn() {
        var state = PoolState(maximumConnections: 1)
        for number in 1...3 { _ = state.acquire(waiter(number), now: start) }
        let opened = state.opened(connection(1), now: start)
        #expect(opened.arrival == .lend(connection(1), to: waiter(1)))
        let second = state.returned(connection(1))
        #expect(second == .lend(connection(1), to: waiter(2)))
        let third = state.returned(connection(1))
        #expect(third == .lend(connection(1), to: waiter(3)))
        let parked = state.returned(connection(1))
        #expect(parked == .park)
        let idle = state.acquireIdle()
        #expect(idle == connection(1))
    }

    @Test func aLostConnectionIsReplacedForThoseWhoWait() {
        var state = PoolState(maximumConnections: 1)
        _ = state.acquire(waiter(1), now: start)
        _ = state.opened(connection(1), now: start)
        _ = state.acquire(waiter(2), now: start)
        let departure = state.lost(connection(1), now: start)
        #expect(departure == .open(.init(id: connection(2), start: start)))
        let opened = state.opened(connection(2), now: start)
        #expect(opened.arrival == .lend(connection(2), to: waiter(2)))
    }

    @Test func aLostConnectionIsNotReplacedForNobody() {
        var state = PoolState(maximumConnections: 1)
        _ = state.acquire(waiter(1), now: start)
        _ = state.opened(connection(1), now: start)
        let departure = state.lost(connection(1), now: start)
        #expect(departure == .none)
    }

    @Test func failedOpeningsPauseLongerAndLongerButNeverASecond() throws {
        var state = PoolState(maximumConnections: 4)
        _ = state.acquire(waiter(1), now: start)
        var id = connection(1)
        var pauses: [Duration] = []
        for _ in 0..<8 {
            guard case .open(let opening) = state.openingFailed(id, refused, jitter: 1, now: start) else {
                Issue.record("the waiter was left alone")
                return
            }
            pauses.append(opening.start - start)
            id = opening.id
        }
        #expect(pauses == [50, 100, 200, 400, 800, 800, 800, 800].map { Duration.milliseconds($0) })
    }

    @Test func jitterNeverMoreThanHalvesThePause() {
        var state = PoolState(maximumConnections: 1)
        _ = state.acquire(waiter(1), now: start)
        let departure = state.openingFailed(connection(1), refused, jitter: 0, now: start)
        #expect(departure == .open(.init(id: connection(2), start: start + .milliseconds(25))))
    }

    @Test func whileTheServerIsAwayOneAttemptIsMadeAtATime() {
        var state = PoolState(maximumConnections: 4)
        for number in 1...3 { _ = state.acquire(waiter(number), now: start) }
        let first = state.openingFailed(connection(1), refused, jitter: 1, now: start)
        #expect(first == .none, "two attempts are still under way")
        _ = state.openingFailed(connection(2), refused, jitter: 1, now: start)
        let third = state.openingFailed(connection(3), refused, jitter: 1, now: start)
        #expect(third == .open(.init(id: connection(4), start: start + .milliseconds(200))))
        let fourth = state.acquire(waiter(4), now: start)
        #expect(fourth == .wait(opening: nil))
        // Back again: the next waiter gets an opening of its own.
        let opened = state.opened(connection(4), now: start + .seconds(1))
        #expect(opened.arrival == .lend(connection(4), to: waiter(1)))
        #expect(opened.opening == .init(id: connection(5), start: start + .seconds(1)))
    }

    @Test func aNewCallerAfterAnOutageWaitsForThePauseToEnd() {
        var state = PoolState(maximumConnections: 1)
        _ = state.acquire(waiter(1), now: start)
        _ = state.expired(waiter(1))
        let departure = state.openingFailed(connection(1), refused, jitter: 1, now: start)
        #expect(departure == .none)
        let early = state.acquire(waiter(2), now: start + .milliseconds(10))
        #expect(early == .wait(opening: .init(id: connection(2), start: start + .milliseconds(50))))
    }

    @Test func anExpiredWaiterLearnsWhyAndOnlyOnce() {
        var state = PoolState(maximumConnections: 1)
        _ = state.acquire(waiter(1), now: start)
        _ = state.openingFailed(connection(1), refused, jitter: 1, now: start)
        let expired = state.expired(waiter(1))
        guard case .fail(waiter(1), .unavailable(let reason)) = expired else {
            Issue.record("\(expired)")
            return
        }
        #expect(reason.contains("connection refused"))
        let again = state.expired(waiter(1))
        #expect(again == .none)
        let cancelled = state.cancelled(waiter(1))
        #expect(cancelled == .none)
    }

    @Test func aCancelledWaiterLosesItsTurn() {
        var state = PoolState(maximumConnections: 1)
        for number in 1...2 { _ = state.acquire(waiter(number), now: start) }
        let cancelled = state.cancelled(waiter(1))
        #expect(cancelled == .fail(waiter(1), .cancelled))
        let opened = state.opened(connection(1), now: start)
        #expect(opened.arrival == .lend(connection(1), to: waiter(2)))
    }

    @Test func aWaiterThatWasServedCannotExpire() {
        var state = PoolState(maximumConnections: 1)
        _ = state.acquire(waiter(1), now: start)
        _ = state.opened(connection(1), now: start)
        let expired = state.expired(waiter(1))
        #expect(expired == .none)
    }

    @Test func closingFailsWaitersAndFinishesWithTheLastConnection() {
        var state = PoolState(maximumConnections: 2)
        _ = state.acquire(waiter(1), now: start)
        _ = state.opened(connection(1), now: start)
        _ = state.acquire(waiter(2), now: start)
        let closing = state.close()
        #expect(closing.waiters == [waiter(2)])
        #expect(closing.openings == [connection(2)])
        #expect(closing.idle.isEmpty && !closing.isFinished)
        let refusal = state.acquire(waiter(3), now: start)
        #expect(refusal == .refuse(.unavailable("the connection pool is closed")))
        let failed = state.openingFailed(connection(2), .cancelled, jitter: 0, now: start)
        #expect(failed == .none)
        let returned = state.returned(connection(1))
        #expect(returned == .close)
        let last = state.lost(connection(1), now: start)
        #expect(last == .finished)
    }

    @Test func whereNoThreadCanBeStartedNobodyIsKeptWaiting() {
        var state = PoolState(maximumConnections: 1)
        for number in 1...2 { _ = state.acquire(waiter(number), now: start) }
        let failed = state.openingRefused(connection(1))
        #expect(failed == [waiter(1), waiter(2)])
        let next = state.acquire(waiter(3), now: start)
        #expect(next == .wait(opening: .init(id: connection(2), start: start)))
    }
}
