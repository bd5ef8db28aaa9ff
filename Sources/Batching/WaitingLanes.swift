import Embeddings

/// Everything that waits for a compute thread, and the choice of the next pass.
struct WaitingLanes {
    private let configuration: BatchingConfiguration
    private var interactive: LengthBuckets
    private var bulk: LengthBuckets
    private var interactivePassesSinceBulk = 0
    private var nextOrder: UInt64 = 0

    init(configuration: BatchingConfiguration, sequenceLimit: Int) {
        self.configuration = configuration
        interactive = LengthBuckets(limit: sequenceLimit)
        bulk = LengthBuckets(limit: sequenceLimit)
    }

    var count: Int { interactive.count + bulk.count }
    var tokenCount: Int { interactive.tokenCount + bulk.tokenCount }
    var isEmpty: Bool { count == 0 }

    /// Over both lanes.
    var oldestArrival: ContinuousClock.Instant? { oldestLane.flatMap { self[$0].oldest?.arrival } }

    mutating func append(
        _ sequence: TokenSequence, of request: RequestID, index: Int, lane: Lane, now: ContinuousClock.Instant
    ) -> LengthBuckets.Slot {
        nextOrder += 1
        return self[lane].append(
            QueueEntry(
                request: request, index: index, sequence: sequence, lane: lane, arrival: now, order: nextOrder))
    }

    mutating func remove(_ slot: LengthBuckets.Slot, in lane: Lane) -> QueueEntry {
        self[lane].remove(slot)
    }

    /// The oldest entries of both lanes, whatever their lengths.
    mutating func takeOldest(_ limit: Int) -> [QueueEntry] {
        var entries: [QueueEntry] = []
        while entries.count < limit, let lane = oldestLane, let slot = self[lane].oldestSlot {
            entries.append(self[lane].remove(slot))
        }
        return entries
    }

    /// The oldest entry of the lane whose turn it is, and with it the nearest lengths: first of that lane, then of the
    /// other. Empty only where nothing waits.
    ///
    /// - Parameter idleThreadCount: threads without a pass, the asking one included.
    mutating func takeBest(now: ContinuousClock.Instant, idleThreadCount: Int) -> [QueueEntry] {
        guard let lane = nextLane(now: now) else { return [] }
        // Threads that idle share what waits; one that is alone takes all it may.
        let share = (tokenCount + idleThreadCount - 1) / max(1, idleThreadCount)
        let budget = min(configuration.maximumBatchTokens, max(share, configuration.minimumShareTokens))
        guard let seedSlot = self[lane].oldestSlot else { return [] }
        var filling = PassFilling(seed: self[lane].remove(seedSlot), configuration: configuration)
        filling.fill(from: &self[lane], rectangleLimit: budget)
        switch lane {
        case .interactive:
            interactivePassesSinceBulk += 1
            filling.fill(from: &bulk, rectangleLimit: min(budget, configuration.bulkFillTokens))
        case .bulk:
            interactivePassesSinceBulk = 0
            filling.fill(from: &interactive, rectangleLimit: budget)
        }
        return filling.entries
    }

    /// Interactive work first; bulk work that lost its patience has every so manieth turn.
    private func nextLane(now: ContinuousClock.Instant) -> Lane? {
        guard let oldestBulk = bulk.oldest else { return interactive.isEmpty ? nil : .interactive }
        if interactive.isEmpty { return .bulk }
        let isImpatient = oldestBulk.arrival.duration(to: now) > configuration.bulkPatience
        return isImpatient && interactivePassesSinceBulk >= configuration.interactivePassesPerBulkPass
            ? .bulk : .interactive
    }

    private var oldestLane: Lane? {
        switch (interactive.oldest, bulk.oldest) {
        case (nil, nil): nil
        case (.some, nil): .interactive
        case (nil, .some): .bulk
        case (.some(let first), .some(let second)): first.order < second.order ? .interactive : .bulk
        }
    }

    private subscript(lane: Lane) -> LengthBuckets {
        get { lane == .interactive ? interactive : bulk }
        _modify {
            switch lane {
            case .interactive: yield &interactive
            case .bulk: yield &bulk
            }
        }
    }
}

/// A pass that grows around its seed.
private struct PassFilling {
    private(set) var entries: [QueueEntry]
    private let configuration: BatchingConfiguration
    private let seedLength: Int
    private var width: Int
    private var tokenCount: Int

    init(seed: QueueEntry, configuration: BatchingConfiguration) {
        entries = [seed]
        self.configuration = configuration
        seedLength = seed.tokenCount
        width = seed.tokenCount
        tokenCount = seed.tokenCount
    }

    /// Takes the entries whose lengths are nearest to the seed's until none of them fits.
    mutating func fill(from lane: inout LengthBuckets, rectangleLimit: Int) {
        while entries.count < configuration.maximumBatchSequences {
            let shorter = lane.occupiedLength(atMost: seedLength)
            let longer = lane.occupiedLength(atLeast: seedLength + 1)
            // The nearer one first; of two equally near, the shorter, since it leaves the width as it is.
            let candidates: [Int?] =
                if let shorter, let longer, longer - seedLength < seedLength - shorter { [longer, shorter] } else {
                    [shorter, longer]
                }
            guard let length = candidates.lazy.compactMap({ $0 }).first(where: { fits($0, rectangleLimit) }),
                let slot = lane.firstSlot(ofLength: length)
            else { return }
            entries.append(lane.remove(slot))
            width = max(width, length)
            tokenCount += length
        }
    }

    private func fits(_ length: Int, _ rectangleLimit: Int) -> Bool {
        let rectangle = (entries.count + 1) * max(width, length)
        let padding = rectangle - tokenCount - length
        let allowance =
            Double(configuration.freePaddingTokens) + configuration.paddingShare * Double(tokenCount + length)
        return rectangle <= rectangleLimit && Double(padding) <= allowance
    }
}
