import Synchronization

/// The bytes that the bodies of all requests under way may hold together.
final class BodyBudget: Sendable {
    let limit: Int
    private let held = Mutex(0)
    private let isMemoryShort: @Sendable () -> Bool

    /// - Parameter isMemoryShort: whether no further request may begin to hold bytes.
    init(limit: Int, isMemoryShort: @escaping @Sendable () -> Bool = { false }) {
        self.limit = limit
        self.isMemoryShort = isMemoryShort
    }

    /// - Throws: while memory is short.
    fileprivate func admitAnother() throws(RequestError) {
        if isMemoryShort() { throw .memoryShort }
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
    private let budget: BodyBudget
    private let held = Mutex(0)

    init(_ budget: BodyBudget) {
        self.budget = budget
    }

    deinit {
        giveBack()
    }

    /// From now on the request holds `bytes`, however many it held before.
    func hold(_ bytes: Int) throws(RequestError) {
        // What has begun to arrive goes on: its end is what makes room.
        if bytes > 0, held.withLock({ $0 == 0 }) { try budget.admitAnother() }
        let fits = held.withLock { held in
            guard budget.change(by: bytes - held) else { return false }
            held = bytes
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
        held.withLock { held in
            _ = budget.change(by: -held)  // less always fits
            held = 0
        }
    }
}
