/// Waiting entries by length and by age. Every operation takes constant time, or one step per 64
/// lengths.
///
///     length   1: ─
///     length   2: ─ e3 ─ e9          each bucket first in, first out
///     …                              `occupied` has a bit for every bucket that is not empty
///     length 256: ─ e1
///     by age:     ─ e1 ─ e3 ─ e9
struct LengthBuckets {
    /// Where an entry lies until it is removed.
    typealias Slot = Int

    private struct Links {
        var previous = -1
        var next = -1
    }

    private struct Ends {
        var first = -1
        var last = -1
    }

    private(set) var count = 0
    private(set) var tokenCount = 0
    // By slot.
    private var entries: [QueueEntry?] = []
    private var byLength: [Links] = []
    private var byAge: [Links] = []
    private var freeSlots: [Slot] = []
    private var buckets: [Ends]
    private var ages = Ends()
    private var occupied: [UInt64]
    private let limit: Int

    /// - Parameter limit: the longest sequence, in tokens.
    init(limit: Int) {
        precondition(limit >= 1)
        self.limit = limit
        buckets = Array(repeating: Ends(), count: limit + 1)
        occupied = Array(repeating: 0, count: limit / 64 + 1)
    }

    var isEmpty: Bool { count == 0 }
    var oldest: QueueEntry? { ages.first < 0 ? nil : entries[ages.first] }

    /// - Precondition: entries come in the order of their age; lengths are in `1...limit`.
    mutating func append(_ entry: QueueEntry) -> Slot {
        let length = entry.tokenCount
        precondition((1...limit).contains(length))
        let slot: Slot
        if let free = freeSlots.popLast() {
            slot = free
            entries[slot] = entry
        } else {
            slot = entries.count
            entries.append(entry)
            byLength.append(Links())
            byAge.append(Links())
        }
        Self.link(slot, in: &byLength, &buckets[length])
        Self.link(slot, in: &byAge, &ages)
        occupied[length / 64] |= 1 << UInt64(length % 64)
        count += 1
        tokenCount += length
        return slot
    }

    /// - Precondition: the slot holds an entry.
    mutating func remove(_ slot: Slot) -> QueueEntry {
        guard let entry = entries[slot] else { preconditionFailure("an empty slot") }
        let length = entry.tokenCount
        Self.unlink(slot, in: &byLength, &buckets[length])
        Self.unlink(slot, in: &byAge, &ages)
        if buckets[length].first < 0 { occupied[length / 64] &= ~(1 << UInt64(length % 64)) }
        entries[slot] = nil
        freeSlots.append(slot)
        count -= 1
        tokenCount -= length
        return entry
    }

    /// The oldest entry of exactly this length.
    func first(ofLength length: Int) -> QueueEntry? {
        buckets[length].first < 0 ? nil : entries[buckets[length].first]
    }

    /// The longest length up to `length` that waits here.
    func occupiedLength(atMost length: Int) -> Int? {
        guard length >= 1 else { return nil }
        var word = min(length, limit) / 64
        var bits = occupied[word] & (~0 >> UInt64(63 - min(length, limit) % 64))
        while bits == 0 {
            guard word > 0 else { return nil }
            word -= 1
            bits = occupied[word]
        }
        return word * 64 + 63 - bits.leadingZeroBitCount
    }

    /// The shortest length from `length` on that waits here.
    func occupiedLength(atLeast length: Int) -> Int? {
        guard length <= limit else { return nil }
        var word = max(length, 0) / 64
        var bits = occupied[word] & (~0 << UInt64(max(length, 0) % 64))
        while bits == 0 {
            guard word + 1 < occupied.count else { return nil }
            word += 1
            bits = occupied[word]
        }
        return word * 64 + bits.trailingZeroBitCount
    }

    // Static, so that links and ends can be changed side by side.
    private static func link(_ slot: Slot, in links: inout [Links], _ ends: inout Ends) {
        links[slot] = Links(previous: ends.last, next: -1)
        if ends.last >= 0 { links[ends.last].next = slot } else { ends.first = slot }
        ends.last = slot
    }

    private static func unlink(_ slot: Slot, in links: inout [Links], _ ends: inout Ends) {
        let here = links[slot]
        if here.previous >= 0 { links[here.previous].next = here.next } else { ends.first = here.next }
        if here.next >= 0 { links[here.next].previous = here.previous } else { ends.last = here.previous }
    }
}
