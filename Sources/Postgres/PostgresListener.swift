/// Hears what is notified on one channel, over a connection of its own that is opened again whenever it is lost. The
/// connection must be the server's own: behind a pooler that lends sessions by the transaction, nothing is ever heard.
///
/// What is notified while there is no connection is lost, so a listener only shortens waits that end without it too.
package struct PostgresListener: Sendable {
    package enum Event: Sendable, Equatable {
        /// It listens, for the first time or again: look now for what may have been missed.
        case connected
        case notified(payload: String)
        /// Nothing is heard until `connected` comes again.
        case disconnected(PostgresError)
    }

    private let configuration: PostgresConfiguration
    private let channel: String
    private let onEvent: @Sendable (Event) -> Void

    private static let shortestPause: Duration = .milliseconds(100)
    private static let longestPause: Duration = .seconds(5)
    // A peer that vanished without a word, as behind a firewall that forgot the connection, is found out by asking.
    private static let questionInterval: Duration = .seconds(30)

    /// - Parameters:
    ///   - channel: neither empty nor with a NUL in it.
    ///   - onEvent: called in the order of the events; hearing goes on when it returns.
    package init(
        configuration: PostgresConfiguration, channel: String, onEvent: @escaping @Sendable (Event) -> Void
    ) {
        self.configuration = configuration.abandoningCancelledStatements()
        self.channel = channel
        self.onEvent = onEvent
    }

    /// Listens until its task is cancelled.
    package func run() async {
        var failureCount = 0
        while !Task.isCancelled {
            let start = ContinuousClock.now
            let error = await listen()
            guard !Task.isCancelled else { return }
            onEvent(.disconnected(error))
            // A connection that lasted is no reason to keep away from its successor.
            if .now - start > Self.longestPause { failureCount = 0 }
            let pause = min(Self.longestPause, Self.shortestPause * (1 << min(failureCount, 10)))
            failureCount += 1
            // Fails only where the task was cancelled, which ends the loop.
            try? await Task.sleep(for: pause * Double.random(in: 0.5...1))
        }
    }

    /// Answers why it is over.
    private func listen() async -> PostgresError {
        do throws(PostgresError) {
            let connection = try await PostgresConnection.open(configuration)
            _ = try await connection.query("LISTEN \(identifier: channel)")
            onEvent(.connected)
            while true {
                let payloads = try await connection.notifications(waitingFor: Self.questionInterval)
                for payload in payloads { onEvent(.notified(payload: payload)) }
                if payloads.isEmpty { _ = try await connection.query("SELECT") }
            }
        } catch {
            return error
        }
    }
}
