import Synchronization

/// Lends connections, opened when first needed, to at most `maximumConnections` callers at once; others wait in turn. A
/// connection that is broken, or that comes back inside a transaction, is closed. When the server is back after an
/// outage, the next caller connects within a second.
///
/// `PoolState` decides under a mutex; this carries out its decisions after the mutex is released.
package final class PostgresPool: Sendable {
    package let configuration: PostgresConfiguration

    fileprivate typealias Waiting = CheckedContinuation<Result<Lease, PostgresError>, Never>

    fileprivate struct Lease: Sendable {
        let id: PoolState.ConnectionID
        let connection: PostgresConnection
    }

    fileprivate struct Shared: ~Copyable {
        var state: PoolState
        var connections: [PoolState.ConnectionID: PostgresConnection] = [:]
        var openings: [PoolState.ConnectionID: ConnectionOpening] = [:]
        var waiting: [PoolState.WaiterID: Waiting] = [:]
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    /// What is to be done outside the mutex.
    fileprivate struct Effects: Sendable {
        var answers: [(Waiting, Result<Lease, PostgresError>)] = []
        var opening: PoolState.Opening?
        /// Connections that are closed by being let go.
        var closed: [PostgresConnection] = []
        var cancelled: [ConnectionOpening] = []
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private let shared: Mutex<Shared>
    private let waiterCount = Atomic(0)

    package init(configuration: PostgresConfiguration) {
        self.configuration = configuration
        shared = Mutex(Shared(state: PoolState(maximumConnections: configuration.maximumConnections)))
    }

    /// Lends a connection for the body's time. Waits for one no longer than `acquireTimeout`.
    package func withConnection<R: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> R
    ) async throws(PostgresError) -> R {
        let lease = try await lease()
        defer { takeBack(lease) }
        return try await body(lease.connection)
    }

    /// Runs one statement on any connection. It is never repeated.
    package func query(
        _ statement: PostgresStatement, timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        try await withConnection { connection async throws(PostgresError) in
            try await connection.query(statement, timeout: timeout)
        }
    }

    /// Runs a statement that changes nothing; where the connection is lost under it at once, as after a restart of the
    /// server, once more on another.
    package func read(
        _ statement: PostgresStatement, timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        let start = ContinuousClock.now
        do throws(PostgresError) {
            return try await query(statement, timeout: timeout)
        } catch {
            // Late, a repetition would keep the caller longer than the configuration's limits promise.
            guard case .unavailable = error, .now - start < .milliseconds(250) else { throw error }
            return try await query(statement, timeout: timeout)
        }
    }

    /// Runs the statements in one transaction. It is never repeated: where it ends with `unavailable` or `cancelled`, it
    /// may have been committed.
    ///
    /// - Parameter limits: what the server holds the transaction to, whatever becomes of this process; nil: nothing.
    package func transaction(
        _ statements: [PostgresStatement], timeout: Duration? = nil, limits: TransactionLimits? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        try await withConnection { connection async throws(PostgresError) in
            try await connection.transaction(statements, timeout: timeout, limits: limits)
        }
    }

    /// Refuses new callers, and returns once every connection is back and closed.
    package func close() async {
        await withCheckedContinuation { continuation in
            update { shared in
                let closing = shared.state.close()
                var effects = Effects()
                effects.closed = closing.idle.compactMap { shared.connections.removeValue(forKey: $0) }
                effects.cancelled = closing.openings.compactMap { shared.openings[$0] }
                effects.answers = closing.waiters.compactMap { waiter in
                    shared.waiting.removeValue(forKey: waiter).map {
                        ($0, .failure(.unavailable("the connection pool is closed")))
                    }
                }
                shared.closers.append(continuation)
                if closing.isFinished { effects.closers = shared.takeClosers() }
                return effects
            }
        }
    }
}

// MARK: - Lending

extension PostgresPool {
    private func lease() async throws(PostgresError) -> Lease {
        let deadline = ContinuousClock.now + configuration.acquireTimeout
        while true {
            guard !Task.isCancelled else { throw .cancelled }
            guard let lease = idleLease() else { return try await waitForLease(until: deadline) }
            // The server may have gone since the connection was last used.
            if await lease.connection.isAlive() { return lease }
            lost(lease.id)
        }
    }

    private func idleLease() -> Lease? {
        shared.withLock { shared in
            shared.state.acquireIdle().flatMap { id in
                shared.connections[id].map { Lease(id: id, connection: $0) }
            }
        }
    }

    private func waitForLease(until deadline: ContinuousClock.Instant) async throws(PostgresError) -> Lease {
        let number = waiterCount.wrappingAdd(1, ordering: .relaxed).newValue
        let waiter = PoolState.WaiterID(number: number)
        let result = await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // A cancelled sleep means that the wait is over, or that the caller's own cancellation ends it.
                guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
                self.withdraw { $0.expired(waiter) }
            }
            let result = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    self.enqueue(waiter, continuation)
                    // A cancellation before this moment found no waiter.
                    if Task.isCancelled { self.withdraw { $0.cancelled(waiter) } }
                }
            } onCancel: {
                self.withdraw { $0.cancelled(waiter) }
            }
            group.cancelAll()
            return result
        }
        return try result.get()
    }

    private func enqueue(_ waiter: PoolState.WaiterID, _ continuation: Waiting) {
        update { shared in
            var effects = Effects()
            switch shared.state.acquire(waiter, now: .now) {
            case .lend(let id):
                if let connection = shared.connections[id] {
                    effects.answers = [(continuation, .success(Lease(id: id, connection: connection)))]
                }
            case .wait(let opening):
                shared.waiting[waiter] = continuation
                effects.opening = opening
            case .refuse(let error): effects.answers = [(continuation, .failure(error))]
            }
            return effects
        }
    }

    private func withdraw(_ decide: @Sendable (inout PoolState) -> PoolState.Withdrawal) {
        update { shared in
            var effects = Effects()
            if case .fail(let waiter, let error) = decide(&shared.state),
                let continuation = shared.waiting.removeValue(forKey: waiter)
            {
                effects.answers = [(continuation, .failure(error))]
            }
            return effects
        }
    }

    private func takeBack(_ lease: Lease) {
        guard lease.connection.isReusable else { return lost(lease.id) }
        update { shared in
            let arrival = shared.state.returned(lease.id)
            return shared.effects(of: arrival, id: lease.id)
        }
    }

    private func lost(_ id: PoolState.ConnectionID) {
        update { shared in shared.remove(id) }
    }
}

// MARK: - Opening, and carrying out

extension PostgresPool {
    private func open(_ opening: PoolState.Opening) {
        do throws(PostgresError) {
            let attempt = try ConnectionOpening(configuration)
            shared.withLock { $0.openings[opening.id] = attempt }
            attempt.start(at: opening.start) { self.opened(opening.id, $0) }
        } catch {
            update { shared in
                var effects = Effects()
                effects.answers = shared.state.openingRefused(opening.id).compactMap { waiter in
                    shared.waiting.removeValue(forKey: waiter).map { ($0, .failure(error)) }
                }
                return effects
            }
        }
    }

    private func opened(_ id: PoolState.ConnectionID, _ result: Result<PostgresConnection, PostgresError>) {
        update { shared in
            shared.openings[id] = nil
            switch result {
            case .success(let connection):
                shared.connections[id] = connection
                let (arrival, opening) = shared.state.opened(id, now: .now)
                var effects = shared.effects(of: arrival, id: id)
                effects.opening = effects.opening ?? opening
                return effects
            case .failure(let error):
                let jitter = Double.random(in: 0...1)
                return shared.effects(of: shared.state.openingFailed(id, error, jitter: jitter, now: .now))
            }
        }
    }

    private func update(_ change: (inout Shared) -> Effects) {
        let effects = shared.withLock { change(&$0) }
        for (continuation, result) in effects.answers { continuation.resume(returning: result) }
        for attempt in effects.cancelled { attempt.cancel() }
        for closer in effects.closers { closer.resume() }
        if let opening = effects.opening { open(opening) }
    }
}

extension PostgresPool.Shared {
    fileprivate mutating func effects(
        of arrival: PoolState.Arrival, id: PoolState.ConnectionID
    ) -> PostgresPool.Effects {
        var effects = PostgresPool.Effects()
        switch arrival {
        case .park: break
        case .close: effects = remove(id)
        case .lend(let id, let waiter):
            if let continuation = waiting.removeValue(forKey: waiter), let connection = connections[id] {
                effects.answers = [(continuation, .success(PostgresPool.Lease(id: id, connection: connection)))]
            }
        }
        return effects
    }

    fileprivate mutating func effects(of departure: PoolState.Departure) -> PostgresPool.Effects {
        var effects = PostgresPool.Effects()
        switch departure {
        case .none: break
        case .open(let opening): effects.opening = opening
        case .finished: effects.closers = takeClosers()
        }
        return effects
    }

    fileprivate mutating func remove(_ id: PoolState.ConnectionID) -> PostgresPool.Effects {
        let connection = connections.removeValue(forKey: id)
        var effects = effects(of: state.lost(id, now: .now))
        if let connection { effects.closed = [connection] }
        return effects
    }

    fileprivate mutating func takeClosers() -> [CheckedContinuation<Void, Never>] {
        defer { closers = [] }
        return closers
    }
}
