/// One attempt to open a connection, on the thread that the connection will have.
final class ConnectionOpening: Sendable {
    private let configuration: PostgresConfiguration
    private let thread: ConnectionThread
    private let interrupter: Interrupter
    private let operation: Interrupter.Operation

    init(_ configuration: PostgresConfiguration) throws(PostgresError) {
        self.configuration = configuration
        interrupter = try Interrupter()
        operation = interrupter.begin()
        thread = try ConnectionThread()
    }

    /// Connects, not before the given time, and then calls back once, on the connection's thread.
    func start(
        at start: ContinuousClock.Instant,
        completion: @escaping @Sendable (Result<PostgresConnection, PostgresError>) -> Void
    ) {
        thread.submit { [self] in
            let result: Result<PostgresConnection, PostgresError>
            do throws(PostgresError) {
                guard interrupter.sleep(until: start) else { throw .cancelled }
                let deadline = ContinuousClock.now + configuration.connectTimeout
                let session = try LibPQConnection.connect(
                    configuration.connectionParameters, patience: Patience(deadline: deadline, interrupter: interrupter)
                )
                result = .success(
                    PostgresConnection(session, on: thread, interrupter: interrupter, configuration: configuration))
            } catch {
                result = .failure(error)
                thread.stop()
            }
            completion(result)
        }
    }

    /// Ends the attempt early, with `PostgresError.cancelled`.
    func cancel() {
        interrupter.interrupt(operation)
    }
}
