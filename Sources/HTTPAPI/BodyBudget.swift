import Synchronization

/// The bytes that the bodies of all requests under way may hold together.
final class BodyBudget: Sendable {
    let limit: Int
    private let held = Mutex(0)
    private let isMemoryShort: @Sendable () -> Bool

    /// - Parameter isMemoryShort: whether no further request may begin to hold bytes while others do.
    init(limit: Int, isMemoryShort: @escaping @Sendable () -> Bool = { false }) {
        self.limit = limit
        self.isMemoryShort = isMemoryShort
    }

    /// - Throws: while memory is short and others hold bytes, whose end makes room. Where nobody does, refusing makes none.
    fileprivate func admitAnother() throws(RequestError) {
        if isMemoryShort(), held.withLock({ $0 > 0 }) { throw .memoryShort }
    }

    /// False, and nothing changed, where it would go beyond the limit.
    fileprivate func change(by bytes: Int) -> Bool {
        held.withLock { held in
            guard bytes <= 0 || held + bytes <= limit else { return false }
            held += bytes
            return true
        }
    }

    func hasRoom(for bytes: Int) -> Bool {
        held.withLock { $0 + bytes <= limit }
    }
}

/// One request's part of the budget. It grows with what has arrived, not with what was announced: a client that
/// announces much and sends nothing takes nothing from others.
final class BodyPermit: Sendable {
    private struct State {
        var heldBytes = 0
        /// Once it has held bytes. Between two documents a long body may hold none, and is under way all the same.
        var hasBegun = false
    }

    private let budget: BodyBudget
    private let state = Mutex(State())

    init(_ budget: BodyBudget) {
        self.budget = budget
    }

    deinit {
        giveBack()
    }

    /// From now on the request holds `bytes`, however many it held before.
    func hold(_ bytes: Int) throws(RequestError) {
        // What has begun to arrive goes on: its end is what makes room.
        if bytes > 0, state.withLock({ !$0.hasBegun }) { try budget.admitAnother() }
        let fits = state.withLock { state in
            guard budget.change(by: bytes - state.heldBytes) else { return false }
            state.heldBytes = bytes
            if bytes > 0 { state.hasBegun = true }
            return true
        }
        guard fits else { throw .tooManyBodyBytes(limit: budget.limit) }
    }

    /// Refuses a body before a byte of it is read.
    func expect(_ bytes: Int) throws(RequestError) {
        try budget.admitAnother()
        guard budget.hasRoom(for: bytes) else { throw .tooManyBodyBytes(limit: budget.limit) }
    }

    func giveBack() {
        state.withLock { state in
            _ = budget.change(by: -state.heldBytes)  // less always fits
            state.heldBytes = 0
        }
    }
}
