import Embeddings

/// The passes that compute threads are in the middle of. A thread has one, and one more between two steps of it.
struct RunningPasses {
    private struct Running {
        let pass: Pass
        /// What passes between its steps took of its time.
        var interrupted = Duration.zero
        /// Tokens of those.
        var interludeTokenCount = 0
    }

    private var passes: [UInt64: Running] = [:]
    private var lastNumber: UInt64 = 0

    /// Threads with a pass.
    var threadCount: Int { passes.values.count { !$0.pass.isInterlude } }
    var isEmpty: Bool { passes.isEmpty }
    var tokenCount: Int { passes.values.reduce(0) { $0 + $1.pass.tokenCount } }
    /// Whether one of them is a second try.
    var holdsRetry: Bool { passes.values.contains { $0.pass.attempt > 0 } }

    mutating func begin(
        _ entries: [QueueEntry], thread: Int, now: ContinuousClock.Instant, gangLeader: Int? = nil,
        isInterlude: Bool = false, allowsInterludes: Bool = false, attempt: Int = 0
    ) -> Pass {
        lastNumber += 1
        let pass = Pass(
            number: lastNumber, entries: entries, startedAt: now, thread: thread, gangLeader: gangLeader,
            isInterlude: isInterlude, allowsInterludes: allowsInterludes, attempt: attempt)
        passes[lastNumber] = Running(pass: pass)
        if isInterlude, let outer = outerPass(ofThread: thread) {
            passes[outer.pass.number]?.interludeTokenCount += pass.tokenCount
        }
        return pass
    }

    /// Tokens that ran between the steps of the thread's pass so far, and the pass's own; nil where it has none.
    func interludeTokens(onThread thread: Int) -> (taken: Int, own: Int)? {
        outerPass(ofThread: thread).map { ($0.interludeTokenCount, $0.pass.tokenCount) }
    }

    private func outerPass(ofThread thread: Int) -> Running? {
        passes.values.first { $0.pass.thread == thread && !$0.pass.isInterlude }
    }

    /// The time that the pass itself took; nil where its thread was given up meanwhile.
    mutating func end(_ pass: Pass, now: ContinuousClock.Instant) -> Duration? {
        guard let running = passes.removeValue(forKey: pass.number) else { return nil }
        let elapsed = pass.startedAt.duration(to: now)
        if pass.isInterlude, let outer = outerPass(ofThread: pass.thread) {
            passes[outer.pass.number]?.interrupted += elapsed
        }
        return max(.zero, elapsed - running.interrupted)
    }

    /// Takes out what a thread was in the middle of.
    mutating func give(upThread thread: Int) -> [Pass] {
        let lost = passes.values.map(\.pass).filter { $0.thread == thread }.sorted { $0.number < $1.number }
        for pass in lost { passes[pass.number] = nil }
        return lost
    }

    /// Threads that are in the middle of a pass.
    var threads: Set<Int> { Set(passes.values.map(\.pass.thread)) }
}
