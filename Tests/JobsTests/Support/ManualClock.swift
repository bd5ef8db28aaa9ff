import Jobs
import Synchronization

/// Time that passes only when a test says so.
final class ManualClock: Sendable {
    typealias Instant = ContinuousClock.Instant

    private struct State {
        var now = ContinuousClock.now
        var lastSleeper = 0
        var sleepers: [Int: (deadline: Instant, continuation: CheckedContinuation<Void, any Error>)] = [:]
    }

    // A Mutex: continuations are resumed outside of it.
    private let state = Mutex(State())
    let start: Instant

    init() {
        start = state.withLock { $0.now }
    }

    var now: Instant { state.withLock { $0.now } }
    var elapsed: Duration { start.duration(to: now) }
    var runner: RunnerClock { RunnerClock(now: { self.now }, sleep: { try await self.sleep(until: $0) }) }

    private func sleep(until deadline: Instant) async throws {
        let number = state.withLock { state in
            state.lastSleeper += 1
            return state.lastSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isDue = state.withLock { state in
                    if deadline <= state.now { return true }
                    state.sleepers[number] = (deadline, continuation)
                    return false
                }
                if isDue { continuation.resume() }
                if Task.isCancelled { cancel(number) }
            }
        } onCancel: {
            cancel(number)
        }
    }

    private func cancel(_ number: Int) {
        state.withLock { $0.sleepers.removeValue(forKey: number) }?.continuation
            .resume(throwing: CancellationError())
    }

    /// Lets time jump from sleeper to sleeper until the condition holds; false where it does not within the limit.
    func run(atMost limit: Duration = .seconds(600), until condition: () -> Bool) async -> Bool {
        let end = now.advanced(by: limit)
        while true {
            // Work of other tasks takes no time here, so they are let run before it passes.
            for _ in 0..<200 {
                if condition() { return true }
                await Task.yield()
            }
            if now >= end { return condition() }
            let due = state.withLock { state in
                guard let next = state.sleepers.values.map(\.deadline).min() else {
                    return [CheckedContinuation<Void, any Error>]()
                }
                state.now = max(state.now, min(next, end))
                let due = state.sleepers.filter { $0.value.deadline <= state.now }
                for number in due.keys { state.sleepers[number] = nil }
                return due.values.map(\.continuation)
            }
            for continuation in due { continuation.resume() }
        }
    }
}
