import Synchronization

/// Who is inside a gang, in one word: whether a pass is open, whether it is the last, helpers inside, the pass's number.
struct GangDoor: ~Copyable {
    struct Visit {
        let number: UInt64
        let isLast: Bool
    }

    private let word = Atomic<UInt64>(0)

    private static let openBit: UInt64 = 1
    private static let lastBit: UInt64 = 2
    private static let oneHelper: UInt64 = 4
    private static let helperBits: UInt64 = 0xFFFC
    private static let numberShift: UInt64 = 16

    /// Lets helpers in; what the leader wrote before, they see.
    ///
    /// - Precondition: closed, and empty.
    func open(isLast: Bool) {
        let number = (word.load(ordering: .relaxed) >> Self.numberShift) + 1
        word.store(number << Self.numberShift | (isLast ? Self.lastBit : 0) | Self.openBit, ordering: .releasing)
    }

    /// Lets no more helpers in; does not wait for those inside.
    func close() {
        word.bitwiseAnd(~Self.openBit, ordering: .releasing)
    }

    /// Nil while no pass is open that comes after the one of that number.
    func enter(after number: UInt64) -> Visit? {
        var seen = word.load(ordering: .relaxed)
        while seen & Self.openBit != 0, seen >> Self.numberShift > number {
            let (isEntered, now) = word.compareExchange(
                expected: seen, desired: seen + Self.oneHelper, successOrdering: .acquiring, failureOrdering: .relaxed)
            if isEntered { return Visit(number: seen >> Self.numberShift, isLast: seen & Self.lastBit != 0) }
            seen = now
        }
        return nil
    }

    func leave() {
        word.wrappingSubtract(Self.oneHelper, ordering: .releasing)
    }

    /// Whether nobody is inside, now or after that many pauses at most; then nothing of the gang is read any more.
    func becomesEmpty(pauses: Int) -> Bool {
        for _ in 0..<pauses {
            if word.load(ordering: .acquiring) & Self.helperBits == 0 { return true }
            Kernels.pause()
        }
        return false
    }
}
