import Embeddings
import Synchronization

/// A batcher that ends one pass between two looks, and has another one under way.
final class LiveBatcher: Sendable {
    private let looks = Atomic(0)
    private let start = ContinuousClock.now
    /// Of every pass.
    private let lengths: [UInt16]

    init(lengths: [UInt16] = [5, 3, 4]) {
        self.lengths = lengths
    }

    var lookCount: Int { looks.load(ordering: .relaxed) }

    var look: @Sendable (_ after: UInt64) -> BatchingActivity { { self.activity(after: $0) } }

    private func activity(after cursor: UInt64) -> BatchingActivity {
        let number = looks.add(1, ordering: .relaxed).newValue
        let tokenCount = lengths.reduce(0) { $0 + Int($1) }
        var pass = PassRecord(
            number: UInt64(number), thread: 1, lane: .bulk, isShared: false, isInterlude: false, startedAt: start,
            duration: .microseconds(12_344), sequenceCount: lengths.count, tokenCount: tokenCount,
            width: Int(lengths.max() ?? 0), lengths: lengths)
        let ended = pass
        pass.duration = nil
        var activity = BatchingActivity(
            moment: .now, passes: [ended], cursor: cursor + 1, runningPasses: [pass], callCount: 3,
            admittedTokenCount: 77)
        activity.lanes[.interactive] = LaneLoad(textCount: 2, tokenCount: 9, oldestAge: .milliseconds(1_500))
        activity.totals.passCount = number
        activity.totals.textCount = number * lengths.count
        activity.totals.tokenCount = number * tokenCount
        activity.totals.rectangleTokenCount = number * lengths.count * pass.width
        activity.totals.refusals = ["overloaded": 4]
        activity.totals.droppedTextCount = 6
        return activity
    }
}
