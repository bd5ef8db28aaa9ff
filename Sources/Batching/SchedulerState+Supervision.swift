package import Embeddings

// Threads that hang or end in the middle of a pass, and what is told about the whole.
extension SchedulerState {
    /// Looks after the compute threads.
    ///
    /// - Parameter beats: when each thread was last heard of; it is heard of between two steps and between two passes.
    package mutating func inspect(
        beats: [ContinuousClock.Instant], now: ContinuousClock.Instant
    ) -> SchedulerAction {
        guard phase != .stopped else { return SchedulerAction() }
        var action = SchedulerAction()
        // One that hangs while it helps hangs its leader, too; both are given up.
        for thread in running.threads.union(gangs.helperThreads).sorted()
        where beats[thread].duration(to: now) > configuration.lostThreadTimeout {
            action.merge(giveUp(thread, now: now))
        }
        action.isDrained = isDrained
        return action
    }

    /// Another thread takes its place. What it was in the middle of is run once more, and given up the second time.
    private mutating func giveUp(_ thread: Int, now: ContinuousClock.Instant) -> SchedulerAction {
        lostThreads.insert(thread)
        gangs.left(thread: thread)
        gangs.close(leader: thread)
        parkedComputeThreads.removeAll { $0 == thread }
        // Helpers may wait for a part that will not be done.
        var action = SchedulerAction(
            recalls: gangs.callBack(gangs.helperCount), replacements: [thread], events: [.threadLost])
        for pass in running.give(upThread: thread) {
            guard pass.attempt > 0 else {
                retries.append(pass)
                continue
            }
            for entry in pass.entries {
                for subscriber in window.finish(entry.order) {
                    action.merge(
                        settle(
                            subscriber, .failure(.computeFailed(index: subscriber.index)), lastPass: pass, now: now))
                }
            }
        }
        action.computeWakes += wakeComputeThreads(retries.count)
        return action
    }

    /// Whether every compute thread is heard of, and no pass is being run a second time.
    package var isSound: Bool { lostThreads.isEmpty && retries.isEmpty && !running.holdsRetry }

    /// Texts that wait for a pass, each once.
    package var waitingCount: Int { waiting.count }
    /// Clients that the lanes know, with texts or not.
    package var rememberedClientCount: Int { waiting.clientCount }
    /// Tokens of admitted and unfinished texts.
    package var admittedTokenCount: Int { budget.usedTokens }
    /// Measured, all threads together.
    package var tokensPerSecond: Double { throughput.tokensPerSecond }

    /// What waits in one lane for a pass.
    package func load(of lane: Lane, at now: ContinuousClock.Instant) -> LaneLoad {
        let depth = waiting.depth(of: lane)
        return LaneLoad(
            textCount: depth.textCount, tokenCount: depth.tokenCount,
            oldestAge: depth.oldestArrival.map { $0.duration(to: now) })
    }

    package func load(at now: ContinuousClock.Instant) -> BatchingLoad {
        BatchingLoad(
            lanes: Dictionary(uniqueKeysWithValues: Lane.allCases.map { ($0, load(of: $0, at: now)) }),
            requestCount: requests.count, clientCount: budget.clientCount, runningPassCount: running.threadCount,
            admittedTokenCount: budget.usedTokens, tokensPerSecond: throughput.tokensPerSecond, isSound: isSound)
    }
}

/// What the embedder is busy with now.
package struct BatchingLoad: Sendable, Equatable {
    package let lanes: [Lane: LaneLoad]
    /// Calls under way.
    package let requestCount: Int
    /// Clients with admitted and unfinished texts.
    package let clientCount: Int
    package let runningPassCount: Int
    /// Tokens of admitted and unfinished texts.
    package let admittedTokenCount: Int
    /// Measured, all threads together.
    package let tokensPerSecond: Double
    /// Whether every compute thread is heard of, and no pass is being run a second time.
    package let isSound: Bool

    /// Texts that wait for a pass, each once.
    package var waitingCount: Int { lanes.values.reduce(0) { $0 + $1.textCount } }
}
