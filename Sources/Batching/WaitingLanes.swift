import Embeddings

/// Everything that waits for a compute thread, and the choice of the next pass.
struct WaitingLanes {
    private let configuration: BatchingConfiguration
    private var interactive: LaneQueue
    private var bulk: LaneQueue
    /// Tokens that bulk work has been passed over for, in its share; it is paid back by a turn.
    private var bulkCredit = 0.0

    init(configuration: BatchingConfiguration, sequenceLimit: Int) {
        self.configuration = configuration
        interactive = LaneQueue(limit: sequenceLimit)
        bulk = LaneQueue(limit: sequenceLimit)
    }

    var count: Int { interactive.count + bulk.count }
    var tokenCount: Int { interactive.tokenCount + bulk.tokenCount }
    var isEmpty: Bool { count == 0 }
    var clientCount: Int { interactive.clientCount + bulk.clientCount }

    /// Over both lanes.
    var oldestArrival: ContinuousClock.Instant? {
        switch (interactive.oldest, bulk.oldest) {
        case (nil, nil): nil
        case (.some(let entry), nil), (nil, .some(let entry)): entry.arrival
        case (.some(let first), .some(let second)): min(first.arrival, second.arrival)
        }
    }

    func depth(of lane: Lane) -> LaneDepth {
        LaneDepth(
            textCount: self[lane].count, tokenCount: self[lane].tokenCount, oldestArrival: self[lane].oldest?.arrival)
    }

    mutating func append(_ entry: QueueEntry) {
        self[entry.lane].append(entry)
    }

    /// - Precondition: the text waits in that lane.
    mutating func remove(_ order: UInt64, in lane: Lane) -> QueueEntry {
        self[lane].remove(order)
    }

    /// Tokens that are taken before the last of `tokenCount` more of a client's, if nothing else comes.
    func tokensAhead(of client: ClientID, in lane: Lane, adding tokenCount: Int) -> Int {
        let ahead = self[lane].tokensAhead(of: client, adding: tokenCount)
        // The other lane's turns meanwhile: all of it before bulk work, its share before interactive work.
        return switch lane {
        case .bulk: ahead + interactive.tokenCount
        case .interactive: ahead + Int(min(Double(bulk.tokenCount), Double(ahead) * creditOfToken))
        }
    }

    /// The oldest entries of both lanes, whatever their lengths.
    mutating func takeOldest(_ limit: Int) -> [QueueEntry] {
        var entries: [QueueEntry] = []
        while entries.count < limit, let lane = oldestLane, let entry = self[lane].takeOldest() {
            entries.append(entry)
        }
        return entries
    }

    /// The oldest text of the client whose turn it is in the lane whose turn it is, and with it the nearest lengths: the
    /// client's own, then the lane's, then the other lane's. Empty only where nothing waits.
    ///
    /// - Parameters:
    ///   - idleThreadCount: threads without a pass, the asking one included.
    ///   - interactiveTokens: what an interactive pass may hold.
    ///   - bulkFillTokens: what bulk work may fill it up to.
    mutating func takeBest(
        idleThreadCount: Int, interactiveTokens: Int, bulkFillTokens: Int, now: ContinuousClock.Instant
    ) -> [QueueEntry] {
        guard let lane = nextLane else { return [] }
        // Threads that idle share what waits; one that is alone takes all it may.
        let share = (tokenCount + idleThreadCount - 1) / max(1, idleThreadCount)
        let most = min(configuration.maximumBatchTokens, lane == .interactive ? interactiveTokens : .max)
        let budget = min(most, max(share, configuration.minimumShareTokens))
        guard var filling = seed(from: lane, budget: budget, now: now) else { return [] }
        let mayBeOwed = !bulk.isEmpty
        switch lane {
        case .interactive: filling.fill(from: &bulk, rectangleLimit: min(budget, bulkFillTokens))
        case .bulk: filling.fill(from: &interactive, rectangleLimit: budget)
        }
        settle(filling.entries, mayBeOwed: mayBeOwed)
        return filling.entries
    }

    /// What may run between two steps of a bulk pass: one interactive text, with others and bulk ones of like lengths
    /// where that keeps the pass short. Empty where no interactive text waits. It counts for bulk work's share.
    mutating func takeInterlude(now: ContinuousClock.Instant) -> [QueueEntry] {
        guard !interactive.isEmpty,
            var filling = seed(from: .interactive, budget: configuration.interludeTokens, now: now)
        else { return [] }
        filling.fill(from: &bulk, rectangleLimit: configuration.interludeTokens)
        settle(filling.entries, mayBeOwed: true)
        return filling.entries
    }

    private mutating func seed(from lane: Lane, budget: Int, now: ContinuousClock.Instant) -> PassFilling? {
        guard let seed = self[lane].takeSeed(now: now) else { return nil }
        var filling = PassFilling(seed: seed, configuration: configuration)
        filling.fill(from: &self[lane], of: seed.client, rectangleLimit: budget)
        filling.fill(from: &self[lane], rectangleLimit: budget)
        return filling
    }

    /// Bulk tokens that are owed for each interactive one.
    var creditOfToken: Double { configuration.bulkShare / (1 - configuration.bulkShare) }

    /// Interactive work first; bulk work has its turn once it is owed as much as that turn takes.
    private var nextLane: Lane? {
        if bulk.isEmpty { return interactive.isEmpty ? nil : .interactive }
        if interactive.isEmpty { return .bulk }
        return bulkCredit >= Double(min(bulk.tokenCount, configuration.maximumBatchTokens)) ? .bulk : .interactive
    }

    /// - Parameter mayBeOwed: whether bulk work waited when the pass was made up.
    private mutating func settle(_ entries: [QueueEntry], mayBeOwed: Bool) {
        guard mayBeOwed else {
            bulkCredit = 0
            return
        }
        for entry in entries {
            switch entry.lane {
            case .interactive: bulkCredit += creditOfToken * Double(entry.tokenCount)
            case .bulk: bulkCredit -= Double(entry.tokenCount)
            }
        }
        // What is owed does not pile up beyond two turns, nor what was given too much.
        bulkCredit = min(max(0, bulkCredit), Double(2 * configuration.maximumBatchTokens))
    }

    private var oldestLane: Lane? {
        switch (interactive.oldest, bulk.oldest) {
        case (nil, nil): nil
        case (.some, nil): .interactive
        case (nil, .some): .bulk
        case (.some(let first), .some(let second)): first.order < second.order ? .interactive : .bulk
        }
    }

    private subscript(lane: Lane) -> LaneQueue {
        get { lane == .interactive ? interactive : bulk }
        _modify {
            switch lane {
            case .interactive: yield &interactive
            case .bulk: yield &bulk
            }
        }
    }
}

/// How much waits in a lane.
struct LaneDepth {
    let textCount: Int
    let tokenCount: Int
    /// Nil where nothing waits.
    let oldestArrival: ContinuousClock.Instant?
}
