import Synchronization

/// Names claims. One whose answer was lost is made again under its name, so that what it leased is neither forgotten nor
/// charged a second attempt.
final class ClaimIDs: Sendable {
    private struct State {
        var lastNumber = 0
        var unanswered: [String] = []
    }

    private let prefix: String
    // A mutex for two fields.
    private let state = Mutex(State())

    init(workerName: String) {
        // A process that has another's number, or its own name of before, makes other claims.
        prefix = "\(workerName)/\(String(UInt64.random(in: .min ... .max), radix: 36))/"
    }

    func next() -> String {
        state.withLock { state in
            if let id = state.unanswered.popLast() { return id }
            state.lastNumber += 1
            return prefix + String(state.lastNumber)
        }
    }

    func repeatLater(_ id: String) {
        state.withLock { $0.unanswered.append(id) }
    }
}
