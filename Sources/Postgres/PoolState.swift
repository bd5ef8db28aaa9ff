/// The pool's decisions: who gets which connection, when one is opened, and who is turned away. It does nothing itself;
/// `PostgresPool` carries out what it answers. Time and chance are arguments.
///
/// A connection is *opening* (can go to: idle, lent, gone), *idle* (lent, gone) or *lent* (idle, lent to the next waiter,
/// gone). A waiter waits until it is lent a connection, its deadline, its cancellation, or the pool's end.
package struct PoolState: ~Copyable {
    package typealias Instant = ContinuousClock.Instant

    package struct ConnectionID: Hashable, Sendable {
        package let number: Int

        package init(number: Int) {
            self.number = number
        }
    }

    package struct WaiterID: Hashable, Sendable {
        package let number: Int

        package init(number: Int) {
            self.number = number
        }
    }

    /// A connection to open, not before the given time.
    package struct Opening: Equatable, Sendable {
        package var id: ConnectionID
        package var start: Instant

        package init(id: ConnectionID, start: Instant) {
            self.id = id
            self.start = start
        }
    }

    package enum Acquisition: Equatable {
        case lend(ConnectionID)
        case wait(opening: Opening?)
        case refuse(PostgresError)
    }

    package enum Arrival: Equatable {
        case lend(ConnectionID, to: WaiterID)
        case park
        case close
    }

    package enum Departure: Equatable {
        case none
        case open(Opening)
        /// The pool was told to close, and its last connection is gone.
        case finished
    }

    package enum Withdrawal: Equatable {
        case none
        case fail(WaiterID, PostgresError)
    }

    package struct Closing: Equatable {
        package var idle: [ConnectionID] = []
        package var openings: [ConnectionID] = []
        package var waiters: [WaiterID] = []
        package var isFinished = false
    }

    private enum Slot {
        case opening
        case idle
        case lent
    }

    /// After the first failure; it doubles with every further one, up to the longest.
    package static let shortestPause: Duration = .milliseconds(50)
    package static let longestPause: Duration = .milliseconds(800)

    private let maximumConnections: Int
    private var slots: [ConnectionID: Slot] = [:]
    // The last one returned is lent first, so that the others grow old and the server's caches stay warm.
    private var idle: [ConnectionID] = []
    private var waiters: [WaiterID] = []
    private var connectionCount = 0
    private var failureCount = 0
    private var earliestOpening: Instant?
    private var lastFailure: PostgresError?
    private var isClosed = false

    package init(maximumConnections: Int) {
        precondition(maximumConnections > 0)
        self.maximumConnections = maximumConnections
    }

    /// Lends an idle connection, where there is one, to a caller that has not begun to wait.
    package mutating func acquireIdle() -> ConnectionID? {
        guard let id = idle.popLast() else { return nil }
        slots[id] = .lent
        return id
    }

    package mutating func acquire(_ waiter: WaiterID, now: Instant) -> Acquisition {
        guard !isClosed else { return .refuse(.unavailable("the connection pool is closed")) }
        if let id = acquireIdle() { return .lend(id) }
        waiters.append(waiter)
        return .wait(opening: openIfNeeded(now: now))
    }

    /// A connection is open. The server can be reached, so those who still wait may get connections of their own.
    package mutating func opened(_ id: ConnectionID, now: Instant) -> (arrival: Arrival, opening: Opening?) {
        failureCount = 0
        earliestOpening = nil
        lastFailure = nil
        let arrival = place(id)
        return (arrival, isClosed ? nil : openIfNeeded(now: now))
    }

    /// This process could not even try; nobody is kept waiting for that.
    package mutating func openingRefused(_ id: ConnectionID) -> [WaiterID] {
        slots[id] = nil
        defer { waiters = [] }
        return waiters
    }

    /// - Parameter jitter: 0 to 1; the pause before the next attempt is between half and the whole of its step.
    package mutating func openingFailed(_ id: ConnectionID, _ error: PostgresError, jitter: Double, now: Instant)
        -> Departure
    {
        slots[id] = nil
        guard !isClosed else { return finishedIfEmpty }
        let step = min(Self.longestPause, Self.shortestPause * (1 << min(failureCount, 10)))
        failureCount += 1
        earliestOpening = now + step * (0.5 + jitter / 2)
        lastFailure = error
        return openIfNeeded(now: now).map { .open($0) } ?? .none
    }

    /// A lent connection is back, fit for another caller.
    package mutating func returned(_ id: ConnectionID) -> Arrival {
        place(id)
    }

    /// A connection is gone, lent or idle; those who wait may need another.
    package mutating func lost(_ id: ConnectionID, now: Instant) -> Departure {
        slots[id] = nil
        idle.removeAll { $0 == id }
        guard !isClosed else { return finishedIfEmpty }
        return openIfNeeded(now: now).map { .open($0) } ?? .none
    }

    /// The waiter's deadline has passed.
    package mutating func expired(_ waiter: WaiterID) -> Withdrawal {
        withdraw(waiter, reasonForWaiting)
    }

    private var reasonForWaiting: PostgresError {
        switch lastFailure {
        case .unavailable(let reason): .unavailable("no connection could be opened: \(reason)")
        case .some(let error): error
        case nil where slots.values.contains(.opening): .unavailable("no connection could be opened in time")
        case nil: .unavailable("every connection is in use")
        }
    }

    package mutating func cancelled(_ waiter: WaiterID) -> Withdrawal {
        withdraw(waiter, .cancelled)
    }

    package mutating func close() -> Closing {
        guard !isClosed else { return Closing(isFinished: slots.isEmpty) }
        isClosed = true
        for id in idle { slots[id] = nil }
        defer {
            idle = []
            waiters = []
        }
        return Closing(
            idle: idle, openings: slots.filter { $0.value == .opening }.map(\.key), waiters: waiters,
            isFinished: slots.isEmpty)
    }

    private mutating func withdraw(_ waiter: WaiterID, _ error: PostgresError) -> Withdrawal {
        guard let index = waiters.firstIndex(of: waiter) else { return .none }
        waiters.remove(at: index)
        return .fail(waiter, error)
    }

    private mutating func place(_ id: ConnectionID) -> Arrival {
        guard !isClosed else {
            // Leaves its slot to `lost`, which the shell calls once it is closed.
            return .close
        }
        guard !waiters.isEmpty else {
            slots[id] = .idle
            idle.append(id)
            return .park
        }
        slots[id] = .lent
        return .lend(id, to: waiters.removeFirst())
    }

    /// One opening for every waiter that has none under way, as far as the limit goes; while the server cannot be
    /// reached, one at a time.
    private mutating func openIfNeeded(now: Instant) -> Opening? {
        let openingCount = slots.values.count { $0 == .opening }
        let wanted = failureCount > 0 ? min(1, waiters.count) : waiters.count
        guard openingCount < wanted, slots.count < maximumConnections else { return nil }
        connectionCount += 1
        let id = ConnectionID(number: connectionCount)
        slots[id] = .opening
        return Opening(id: id, start: max(now, earliestOpening ?? now))
    }

    private var finishedIfEmpty: Departure { slots.isEmpty ? .finished : .none }
}
