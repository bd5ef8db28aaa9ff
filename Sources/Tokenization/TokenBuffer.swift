/// The ids of a text under way, in storage that stays for the next text.
struct TokenBuffer: Sendable {
    /// Longer storage is given back when the next text begins.
    private static let keptCapacity = 1 << 15

    private(set) var count = 0
    private var storage: [Int32] = []

    /// The ids that were appended.
    var ids: ArraySlice<Int32> { storage[..<count] }

    subscript(place: Int) -> Int32 { storage[place] }

    mutating func append(_ id: Int32) {
        if count == storage.count { grow() }
        storage[count] = id
        count += 1
    }

    mutating func append(_ entry: WordCache.Entry) {
        for place in 0..<entry.pieceCount { append(entry.id(place)) }
    }

    mutating func removeLast(_ number: Int) {
        precondition(number <= count)
        count -= number
    }

    mutating func removeAll() {
        count = 0
        if storage.count > Self.keptCapacity { storage = [] }
    }

    /// Lends storage with room for at least `room` more ids; `body` says how many there are in the end.
    @inline(__always)
    mutating func withRoom<Result>(for room: Int, _ body: (inout MutableSpan<Int32>, inout Int) -> Result) -> Result {
        while storage.count - count < room { grow() }
        var count = count
        var span = storage.mutableSpan
        let result = body(&span, &count)
        self.count = count
        return result
    }

    private mutating func grow() {
        storage.append(contentsOf: repeatElement(0, count: max(storage.count, 512)))
    }
}
