import Embeddings

/// What waits in one lane: all of it by length, and each client's by length and age.
///
/// Clients share the lane by fair queueing: each has a tag that grows by the tokens that it was given, and the one with
/// the least tag has the next turn. Virtual time says where those begin who come, or come back after a pause, so that
/// nobody saves up turns, and nobody gains by leaving for a moment: it is the tag of the turn that is on (start-time fair
/// queueing; Goyal, Vin, Cheng 1996), and goes on by each client's part of what is taken, as in weighted fair queueing,
/// so that those who have had turns are not passed over by ever new ones.
///
/// A forecast knows nothing of who comes later, so with fair turns alone a long request is passed by more than it was told.
/// Every other turn is therefore that of the client whose oldest text is most overdue, where one is: promises are kept from
/// half of what is done, and whoever has had less than its part waits for one such turn more.
struct LaneQueue {
    private struct Places {
        let ofAll: LengthBuckets.Slot
        let ofClient: LengthBuckets.Slot
    }

    private struct ClientQueue {
        var entries: LengthBuckets
        var tag: Int
    }

    private let limit: Int
    private var all: LengthBuckets
    private var clients: [ClientID: ClientQueue] = [:]
    private var places: [UInt64: Places] = [:]
    private var virtualTime = 0
    /// Clients with texts here when the last turn began.
    private var presentCount = 0
    /// Whether the last turn was one of the overdue.
    private var wasOverdueTurn = false

    /// - Parameter limit: the longest sequence, in tokens.
    init(limit: Int) {
        self.limit = limit
        all = LengthBuckets(limit: limit)
    }

    var count: Int { all.count }
    /// Clients that are remembered: those with texts here, and those whose last turns still count.
    var clientCount: Int { clients.count }
    var tokenCount: Int { all.tokenCount }
    var isEmpty: Bool { all.isEmpty }
    /// Of all clients.
    var oldest: QueueEntry? { all.oldest }

    /// - Precondition: entries come in the order of their age.
    mutating func append(_ entry: QueueEntry) {
        var client =
            clients.removeValue(forKey: entry.client)
            ?? ClientQueue(entries: LengthBuckets(limit: limit), tag: virtualTime)
        if client.entries.isEmpty { client.tag = max(client.tag, virtualTime) }
        places[entry.order] = Places(ofAll: all.append(entry), ofClient: client.entries.append(entry))
        clients[entry.client] = client
    }

    /// Takes a text out that nobody wants any more. Costs its client nothing.
    ///
    /// - Precondition: it waits here.
    mutating func remove(_ order: UInt64) -> QueueEntry {
        guard let places = places.removeValue(forKey: order) else { preconditionFailure("not in this lane") }
        let entry = all.remove(places.ofAll)
        _ = clients[entry.client]?.entries.remove(places.ofClient)
        if all.isEmpty {
            // Whoever comes now finds nobody before it.
            virtualTime = clients.values.reduce(virtualTime) { max($0, $1.tag) }
            clients = [:]
        }
        return entry
    }

    /// The oldest of all, whoever's turn it is.
    mutating func takeOldest() -> QueueEntry? {
        forgetAbsentClients()
        return all.oldest.map { take($0) }
    }

    /// The oldest text of the client whose turn it is, or that is most overdue.
    mutating func takeSeed(now: ContinuousClock.Instant) -> QueueEntry? {
        forgetAbsentClients()
        presentCount = 0
        var overdue: QueueEntry?
        var next: (tag: Int, entry: QueueEntry)?
        for client in clients.values {
            guard let oldest = client.entries.oldest else { continue }
            presentCount += 1
            if oldest.due < overdue?.due ?? now { overdue = oldest }
            if let next, (next.tag, next.entry.order) <= (client.tag, oldest.order) { continue }
            next = (client.tag, oldest)
        }
        guard let next else { return nil }
        wasOverdueTurn = !wasOverdueTurn && overdue != nil
        if wasOverdueTurn, let overdue { return take(overdue) }
        virtualTime = max(virtualTime, next.tag)
        return take(next.entry)
    }

    /// Of the lengths that fit, the one nearest to `length`; of two equally near, the shorter, since it leaves the width
    /// as it is. Of that length the oldest text.
    ///
    /// - Parameter client: whose texts are looked at; nil: everybody's.
    mutating func takeNearest(
        to length: Int, of client: ClientID?, where fits: (_ length: Int) -> Bool
    ) -> QueueEntry? {
        nearest(to: length, of: client, where: fits).map { take($0) }
    }

    // By itself, so that no copy of the buckets is left when they are changed.
    private func nearest(
        to length: Int, of client: ClientID?, where fits: (_ length: Int) -> Bool
    ) -> QueueEntry? {
        guard let buckets = client.map({ clients[$0]?.entries }) ?? all else { return nil }
        let shorter = buckets.occupiedLength(atMost: length)
        let longer = buckets.occupiedLength(atLeast: length + 1)
        let isLongerNearer = if let shorter, let longer { longer - length < length - shorter } else { false }
        for candidate in isLongerNearer ? [longer, shorter] : [shorter, longer] {
            if let candidate, fits(candidate) { return buckets.first(ofLength: candidate) }
        }
        return nil
    }

    /// Tokens that will be taken before the last of `tokenCount` more of a client's are, if nothing else comes: its own,
    /// those, and of each other client's what its turns come to meanwhile.
    func tokensAhead(of client: ClientID, adding tokenCount: Int) -> Int {
        let own = clients[client]
        let ownCount = (own?.entries.tokenCount ?? 0) + tokenCount
        let end = max(own?.tag ?? 0, virtualTime) + ownCount
        return clients.reduce(ownCount) { sum, other in
            other.key == client
                ? sum : sum + min(other.value.entries.tokenCount, max(0, end - other.value.tag))
        }
    }

    /// Those whose tag would be no more than what they come back with.
    private mutating func forgetAbsentClients() {
        for (client, queue) in clients where queue.entries.isEmpty && queue.tag <= virtualTime {
            clients[client] = nil
        }
    }

    private mutating func take(_ entry: QueueEntry) -> QueueEntry {
        clients[entry.client]?.tag += entry.tokenCount
        // As if one more were here, so that whoever comes goes before one who has had as much. Not by an overdue turn, or
        // whoever comes would begin behind all who wait for theirs.
        if !wasOverdueTurn { virtualTime += entry.tokenCount / (presentCount + 1) }
        return remove(entry.order)
    }
}
