import Synchronization

/// How far each step of a pass is.
struct GangSteps: ~Copyable {
    /// Parts claimed in the low half, parts done in the high half. All members write it, so it has a line of its own, and
    /// the line that some processors fetch beside it.
    private struct Step: ~Copyable {
        let progress = Atomic<UInt64>(0)
        let padding = InlineArray<15, UInt64>(repeating: 0)
    }

    private static let donePart: UInt64 = 1 << 32

    private var count: Int
    private var steps: UnsafeMutablePointer<Step>

    init(count: Int) {
        self.count = count
        steps = .allocate(capacity: count)
        for step in 0..<count { (steps + step).initialize(to: Step()) }
    }

    deinit {
        steps.deinitialize(count: count)
        steps.deallocate()
    }

    /// Makes ready for a pass of up to `count` steps; allocates only where there were never so many.
    mutating func begin(count: Int) {
        if count > self.count { self = GangSteps(count: count) }
        for step in 0..<count { steps[step].progress.store(0, ordering: .relaxed) }
    }

    /// The number of the part that is now the caller's; the step may have no part of that number.
    func claim(_ step: Int) -> Int {
        precondition(step < count)
        return Int(UInt32(truncatingIfNeeded: steps[step].progress.wrappingAdd(1, ordering: .relaxed).oldValue))
    }

    /// What the part wrote is seen by whoever then reads the count.
    func finish(_ step: Int) {
        precondition(step < count)
        steps[step].progress.wrappingAdd(Self.donePart, ordering: .releasing)
    }

    func finishAndClaim(_ step: Int) -> Int {
        precondition(step < count)
        let old = steps[step].progress.wrappingAdd(Self.donePart | 1, ordering: .releasing).oldValue
        return Int(UInt32(truncatingIfNeeded: old))
    }

    func doneCount(_ step: Int) -> Int {
        precondition(step < count)
        return Int(steps[step].progress.load(ordering: .acquiring) >> 32)
    }
}
