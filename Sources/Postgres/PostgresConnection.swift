import Synchronization

/// One connection to the server. An actor on a thread of its own, because libpq blocks.
///
/// Whatever leaves the connection in doubt (a lost server, a deadline, a cancellation without an answer) closes it; every
/// later call then throws `PostgresError.unavailable`.
package actor PostgresConnection {
    /// The server's version as 10000 × major + minor.
    package nonisolated let serverVersion: Int
    /// The process that serves this connection.
    package nonisolated let serverProcessID: Int32

    private let configuration: PostgresConfiguration
    private let thread: ConnectionThread
    private let interrupter: Interrupter
    private let cancelKey: CancelKey?
    // Taken out for the time of a command, and put back only if the connection is fit for another.
    private var session: LibPQConnection?
    private nonisolated let reusable = Atomic(true)

    init(
        _ session: consuming LibPQConnection, on thread: ConnectionThread, interrupter: Interrupter,
        configuration: PostgresConfiguration
    ) {
        serverVersion = session.serverVersion
        serverProcessID = session.processID
        cancelKey = session.cancelKey()
        self.session = consume session
        self.thread = thread
        self.interrupter = interrupter
        self.configuration = configuration
    }

    deinit {
        thread.stop()
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Opens a connection outside any pool.
    package static func open(
        _ configuration: PostgresConfiguration
    ) async throws(PostgresError) -> PostgresConnection {
        let opening = try ConnectionOpening(configuration)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                opening.start(at: .now) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            opening.cancel()
        }
        return try result.get()
    }

    /// Runs one statement (extended protocol, unnamed, binary results).
    ///
    /// - Parameter timeout: instead of the configuration's `commandTimeout`.
    package func query(
        _ statement: PostgresStatement, timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        try await perform(timeout) { (session: borrowing LibPQConnection, patience) throws(PostgresError) in
            try session.query(statement, patience: patience)
        }
    }

    /// Runs the statements between BEGIN and COMMIT in one pipeline, one round trip; an error rolls all of them back.
    /// One result a statement. Where it throws `unavailable` or `cancelled`, it may have been committed.
    ///
    /// - Parameter limits: what the server holds the transaction to, whatever becomes of this process; nil: nothing.
    package func transaction(
        _ statements: [PostgresStatement], timeout: Duration? = nil, limits: TransactionLimits? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        let limits = limits?.statement(
            timeout: timeout ?? configuration.commandTimeout, serverVersion: serverVersion)
        return try await perform(timeout) { (session: borrowing LibPQConnection, patience) throws(PostgresError) in
            try session.transaction(statements, limits: limits, patience: patience)
        }
    }

    /// Runs SQL text of any number of statements (simple protocol); results are dropped. Outside a transaction block the
    /// statements are one transaction.
    package func script(_ sql: String, timeout: Duration? = nil) async throws(PostgresError) {
        try await perform(timeout) { (session: borrowing LibPQConnection, patience) throws(PostgresError) in
            try session.script(sql, patience: patience)
        }
    }

    /// The payloads of notifications, on the channels that this session listens to; none where none came in time. Other
    /// calls wait meanwhile.
    func notifications(waitingFor duration: Duration) async throws(PostgresError) -> [String] {
        try await perform(duration) { (session: borrowing LibPQConnection, patience) throws(PostgresError) in
            try session.notifications(patience)
        }
    }

    /// Closes it; every later call throws `unavailable`.
    package func close() {
        session = nil
        reusable.store(false, ordering: .releasing)
    }

    /// Whether another caller may have it: open, and outside any transaction.
    nonisolated var isReusable: Bool { reusable.load(ordering: .acquiring) }

    /// Whether the server still holds the other end, as far as can be told without asking it.
    func isAlive() -> Bool {
        guard let taken = session.take() else { return false }
        let isAlive = taken.isAlive()
        if isAlive { session = consume taken }
        return isAlive
    }

    private func perform<R: Sendable>(
        _ timeout: Duration?, _ command: (borrowing LibPQConnection, Patience) throws(PostgresError) -> R
    ) async throws(PostgresError) -> R {
        guard !Task.isCancelled else { throw .cancelled }
        let operation = interrupter.begin()
        let interrupter = interrupter
        let result: Result<R, PostgresError> = await withTaskCancellationHandler {
            let deadline = ContinuousClock.now + (timeout ?? configuration.commandTimeout)
            return run(command, patience: Patience(deadline: deadline, interrupter: interrupter))
        } onCancel: {
            interrupter.interrupt(operation)
        }
        return try result.get()
    }

    private func run<R>(
        _ command: (borrowing LibPQConnection, Patience) throws(PostgresError) -> R, patience: Patience
    ) -> Result<R, PostgresError> {
        guard let taken = session.take() else { return .failure(.unavailable("the connection is closed")) }
        let result: Result<R, PostgresError>
        do throws(PostgresError) {
            result = .success(try command(taken, patience))
        } catch {
            result = .failure(error)
            if !taken.isReady, !taken.isLost { stopCommand(of: taken, after: error) }
        }
        let isReady = taken.isReady
        reusable.store(isReady && !taken.isInTransaction, ordering: .releasing)
        if isReady { session = consume taken }
        return result
    }

    /// Asks the server to stop a command that is not waited for any more. After a deadline the connection is given up at
    /// once; after a cancellation it is kept if the server answers soon.
    private func stopCommand(of session: borrowing LibPQConnection, after error: PostgresError) {
        guard error == .cancelled else {
            _ = CancelSender.send(cancelKey, waitingFor: .zero)
            return
        }
        let deadline = ContinuousClock.now + configuration.cancelTimeout
        // The request must have ended too, lest it hit the connection's next command.
        guard CancelSender.send(cancelKey, waitingFor: configuration.cancelTimeout) else { return }
        do {
            try session.settle(patience: Patience(deadline: deadline))
        } catch {
            // The connection is not ready then, and is given up.
        }
    }
}
