import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where one thread waits for work: a wake that comes before the wait is not lost.
struct ParkingSpot: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func wake() {
        semaphore.signal()
    }

    /// Blocks the calling thread until it is woken, or until that moment.
    ///
    /// - Parameter lookout: how long it first stays awake, while no other thread wants its core: it takes a sleeping
    ///   thread some 50 to 100 µs to be woken.
    func wait(until moment: ContinuousClock.Instant?, lookout: Duration = .zero) {
        if lookout > .zero {
            let end = ContinuousClock.now.advanced(by: lookout)
            while true {
                if semaphore.wait(timeout: .now()) == .success { return }
                if .now >= end { break }
                _ = sched_yield()
            }
        }
        guard let moment else { return semaphore.wait() }
        let remaining = max(.zero, ContinuousClock.now.duration(to: moment))
        // Rounded up: a thread that wakes a little early finds nothing due and must come back.
        let nanoseconds = Int(min(remaining / .nanoseconds(1), 1e15)) + 1
        // Woken or not, the thread asks the scheduler again.
        _ = semaphore.wait(timeout: .now() + .nanoseconds(nanoseconds))
    }
}
