import Dispatch
import Synchronization

/// Sends cancel requests from threads of their own: libpq's call blocks for as long as the server stands still.
enum CancelSender {
    /// Requests under way at most, over all connections; beyond it a request is not sent, and its connection is given up.
    private static let limit = 16
    private static let outstandingCount = Mutex(0)

    /// Asks the server to stop what the connection is doing. True where the server took note before the deadline.
    static func send(_ key: CancelKey?, waitingFor duration: Duration) -> Bool {
        guard let key, reserve() else { return false }
        let isDone = DispatchSemaphore(value: 0)
        let isStarted = BackgroundThread.start {
            key.send()
            release()
            isDone.signal()
        }
        guard isStarted else {
            release()
            return false
        }
        let milliseconds =
            duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
        return isDone.wait(timeout: .now() + .milliseconds(Int(milliseconds))) == .success
    }

    private static func reserve() -> Bool {
        outstandingCount.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    private static func release() {
        outstandingCount.withLock { $0 -= 1 }
    }
}
