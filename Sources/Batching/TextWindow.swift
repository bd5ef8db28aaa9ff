import Embeddings

/// The texts that wait or run, each once, and who asks for them: a text that is asked for again meanwhile is computed
/// once, since its vector has the same bits whatever its neighbours.
struct TextWindow {
    /// A text as one request knows it.
    struct Subscriber {
        let request: RequestID
        let index: Int
    }

    enum Place {
        case waiting(Lane)
        case running
    }

    private struct Text {
        let key: Key
        var place: Place
        var due: ContinuousClock.Instant
        var subscribers: [Subscriber]
    }

    /// What the encoder's answer depends on.
    private struct Key: Hashable {
        let ids: [Int32]
        let unpooledPrefix: Int
        let idsHash: Int

        init(_ sequence: TokenSequence) {
            ids = sequence.ids
            unpooledPrefix = sequence.unpooledPrefix
            idsHash = sequence.idsHash
        }

        // The ids were hashed where they were made, outside of the scheduler's lock.
        func hash(into hasher: inout Hasher) {
            hasher.combine(idsHash)
            hasher.combine(unpooledPrefix)
        }
    }

    private var texts: [UInt64: Text] = [:]
    private var orders: [Key: UInt64] = [:]
    private var lastOrder: UInt64 = 0

    /// The text of these tokens that waits or runs, if one does, and when whoever brought it was told to expect it.
    func find(_ sequence: TokenSequence) -> (order: UInt64, place: Place, due: ContinuousClock.Instant)? {
        guard let order = orders[Key(sequence)], let text = texts[order] else { return nil }
        return (order, text.place, text.due)
    }

    /// A new text, which waits. Returns what names it.
    mutating func insert(
        _ sequence: TokenSequence, in lane: Lane, due: ContinuousClock.Instant, for subscriber: Subscriber
    ) -> UInt64 {
        lastOrder += 1
        let key = Key(sequence)
        texts[lastOrder] = Text(key: key, place: .waiting(lane), due: due, subscribers: [subscriber])
        orders[key] = lastOrder
        return lastOrder
    }

    mutating func join(_ order: UInt64, _ subscriber: Subscriber) {
        texts[order]?.subscribers.append(subscriber)
    }

    /// - Parameter due: of who wants it sooner now; nil: as before.
    mutating func move(_ order: UInt64, to place: Place, due: ContinuousClock.Instant? = nil) {
        texts[order]?.place = place
        if let due { texts[order]?.due = due }
    }

    /// Whether anybody still asks for the text.
    func isWanted(_ order: UInt64) -> Bool {
        texts[order].map { !$0.subscribers.isEmpty } ?? false
    }

    /// A request wants none of its texts any more. Where the text now waits for nobody, it is forgotten, and the lane is
    /// returned from which it has to be taken; a text that runs is kept until its pass ends.
    mutating func leave(_ order: UInt64, _ request: RequestID) -> Lane? {
        guard let index = texts.index(forKey: order) else { return nil }
        texts.values[index].subscribers.removeAll { $0.request == request }
        guard case .waiting(let lane) = texts.values[index].place, texts.values[index].subscribers.isEmpty else {
            return nil
        }
        _ = finish(order)
        return lane
    }

    /// The text is done with. Returns who asked for it.
    mutating func finish(_ order: UInt64) -> [Subscriber] {
        guard let text = texts.removeValue(forKey: order) else { return [] }
        if orders[text.key] == order { orders[text.key] = nil }
        return text.subscribers
    }
}
