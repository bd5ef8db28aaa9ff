import Synchronization

/// Says that something about jobs is new: whoever waits looks sooner than at its next turn. Polling stays the truth, so
/// a ring that comes too often or never does no harm.
package final class JobBell: Sendable {
    private struct State {
        var ringCount: UInt64 = 0
        var lastWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    // A mutex for the few fields; continuations are resumed outside of it.
    private let state = Mutex(State())

    package init() {}

    /// How often it has rung so far.
    package var ringCount: UInt64 { state.withLock { $0.ringCount } }

    package func ring() {
        let waiters = state.withLock { state in
            state.ringCount += 1
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Returns once it has rung more often than `count`, at once where it has; or when the task is cancelled.
    package func wait(after count: UInt64) async {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    if state.ringCount > count { return true }
                    state.waiters[number] = continuation
                    return false
                }
                if isDue { continuation.resume() }
                // A cancellation before this moment found no waiter.
                if Task.isCancelled { withdraw(number) }
            }
        } onCancel: {
            withdraw(number)
        }
    }

    /// As `wait(after:)`, and returns at the deadline.
    package func wait(after count: UInt64, until deadline: ContinuousClock.Instant?, clock: RunnerClock) async {
        guard let deadline else { return await wait(after: count) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait(after: count) }
            // It throws when it is cancelled, since the bell has rung or nobody waits any more.
            group.addTask { try? await clock.sleep(deadline) }
            await group.next()
            group.cancelAll()
        }
    }

    private func withdraw(_ number: UInt64) {
        state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
    }
}
