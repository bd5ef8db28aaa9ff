import Synchronization

/// Whether a connection's client is still there, for those who produce an answer while they send it.
final class ClientPresence: Sendable {
    struct Lost: Error {}

    private enum State {
        case there
        case watched(AsyncStream<Never>.Continuation)
        case lost
    }

    /// A Mutex: one field, never held across an await.
    private let state = Mutex(State.there)

    func lose() {
        let watcher: AsyncStream<Never>.Continuation? = state.withLock { state in
            defer { state = .lost }
            if case .watched(let watcher) = state { return watcher }
            return nil
        }
        watcher?.finish()
    }

    /// Runs `operation`, which is cancelled when the client is lost. One at a time.
    func whileThere(_ operation: @escaping @Sendable () async throws -> Void) async throws {
        let (loss, watcher) = AsyncStream.makeStream(of: Never.self)
        let isLost = state.withLock { state in
            if case .lost = state { return true }
            state = .watched(watcher)
            return false
        }
        if isLost { throw Lost() }
        defer {
            state.withLock { state in
                if case .watched = state { state = .there }
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await operation() }
            group.addTask {
                for await _ in loss {}
                // Ends so too when the operation is done and this is cancelled: then nobody asks.
                throw Lost()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
