/// The runner's time, which tests bring themselves.
package struct RunnerClock: Sendable {
    package let now: @Sendable () -> ContinuousClock.Instant
    /// Ends early only by cancellation, and throws then.
    package let sleep: @Sendable (_ deadline: ContinuousClock.Instant) async throws -> Void

    package init(
        now: @escaping @Sendable () -> ContinuousClock.Instant,
        sleep: @escaping @Sendable (_ deadline: ContinuousClock.Instant) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    package static let continuous = RunnerClock(
        now: { .now }, sleep: { try await Task.sleep(until: $0, clock: .continuous) })
}
