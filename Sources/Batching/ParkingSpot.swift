import Dispatch

/// Where one thread waits for work: a wake that comes before the wait is not lost.
struct ParkingSpot: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func wake() {
        semaphore.signal()
    }

    /// Blocks the calling thread until it is woken, or until that moment.
    func wait(until moment: ContinuousClock.Instant?) {
        guard let moment else { return semaphore.wait() }
        let remaining = max(.zero, ContinuousClock.now.duration(to: moment))
        // Rounded up: a thread that wakes a little early finds nothing due and must come back.
        let nanoseconds = Int(min(remaining / .nanoseconds(1), 1e15)) + 1
        // Woken or not, the thread asks the scheduler again.
        _ = semaphore.wait(timeout: .now() + .nanoseconds(nanoseconds))
    }
}
