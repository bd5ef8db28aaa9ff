/// Who walks a pass, seen from one of its members: each step's parts are divided among them.
struct Crew: ~Copyable {
    /// The member's own: for what belongs to it alone.
    let workspace: EncoderWorkspace
    private let gang: Gang?
    private let clock: StageClock?
    private let recall: Recall?
    private var step = 0
    private var hasLeft = false

    /// A member alone, or the leader or a helper of a gang. Only a helper can be called back.
    ///
    /// - Parameter clock: for a member alone: what measures its steps.
    init(workspace: EncoderWorkspace, gang: Gang? = nil, recall: Recall? = nil, clock: StageClock? = nil) {
        self.workspace = workspace
        self.clock = clock
        self.gang = gang
        self.recall = recall
    }

    /// Calls `body` with ranges that, over all members, cover `0..<count` once, and returns when the step is done; at
    /// once, and doing nothing, for a helper that was called back.
    ///
    /// - Parameters:
    ///   - stage: what the step belongs to.
    ///   - nanoseconds: about what the step takes one core; decides how many parts it has.
    mutating func divide(
        _ count: Int, of stage: StageClock.Stage, nanoseconds: @autoclosure () -> Int, _ body: (Range<Int>) -> Void
    ) {
        guard let gang else {
            body(0..<count)
            clock?.end(stage)
            return
        }
        guard !hasLeft else { return }
        let partCount = gang.partCount(of: count, nanoseconds: nanoseconds())
        let isDone = gang.work(step: step, partCount: partCount, recall: recall) { part in
            body(count * part / partCount..<count * (part + 1) / partCount)
        }
        hasLeft = !isDone
        step += 1
    }
}
