package import Embeddings

/// Every decision of the batcher: what is taken, in what order it runs, who is answered. Pure: no clock, no thread, no
/// lock.
///
/// A request
/// - is *tokenizing* from `begin`. Can go to: waiting, answered.
/// - is *waiting* once all its texts are admitted; texts go one by one from waiting to running to done. Can go to:
///   answered.
/// - is *answered* exactly once, and forgotten.
///
/// The whole
/// - is *open* at first. Can go to: draining.
/// - is *draining* from `beginShutdown`: refuses new requests, finishes those it has. Can go to: stopped.
/// - is *stopped* from `stop`: answers what is left with `.shuttingDown`; threads exit. Final.
package struct SchedulerState: ~Copyable {
    private enum Phase {
        case open
        case draining
        case stopped
    }

    private let configuration: BatchingConfiguration
    private let sequenceLimit: Int
    private var phase = Phase.open
    private var requests: [RequestID: RequestRecord] = [:]
    private var tokenization = TokenizationQueue()
    private var waiting: WaitingLanes
    private var budget: AdmissionBudget
    private var parkedComputeThreads: [Int] = []
    private var parkedTokenizers: [Int] = []
    private var runningPassCount = 0
    private var gangs: OpenGangs

    /// - Parameter sequenceLimit: tokens of the model's longest sequence.
    package init(configuration: BatchingConfiguration, sequenceLimit: Int) {
        self.configuration = configuration
        self.sequenceLimit = sequenceLimit
        waiting = WaitingLanes(configuration: configuration, sequenceLimit: sequenceLimit)
        gangs = OpenGangs(memberLimit: configuration.gangMemberLimit)
        budget = AdmissionBudget(
            limit: configuration.queueBudget(sequenceLimit: sequenceLimit),
            threadCount: configuration.computeThreadCount)
    }

    /// Texts that wait for a pass.
    package var waitingCount: Int { waiting.count }
    /// Tokens of admitted and unfinished texts.
    package var admittedTokenCount: Int { budget.usedTokens }
    /// Measured, all threads together.
    package var tokensPerSecond: Double { budget.tokensPerSecond }

    // MARK: Requests

    /// A new call. Refuses at once only what is certain before the tokens are counted.
    ///
    /// - Precondition: the id is new; the request has an input.
    package mutating func begin(
        _ request: EmbeddingRequest, id: RequestID, now: ContinuousClock.Instant
    ) -> SchedulerAction {
        precondition(requests[id] == nil && !request.inputs.isEmpty)
        let bytes = TokenizationQueue.byteCount(of: request)
        if let refusal = earlyRefusal(of: request, byteCount: bytes) {
            return refused(id, refusal)
        }
        requests[id] = RequestRecord(lane: request.lane)
        tokenization.append(request, id: id, byteCount: bytes, now: now)
        return SchedulerAction(tokenizerWakes: wakeTokenizer())
    }

    /// The caller is gone. Unknown and answered ids are ignored.
    package mutating func cancel(_ id: RequestID) -> SchedulerAction {
        end(id, with: .cancelled)
    }

    package mutating func beginShutdown() -> SchedulerAction {
        guard phase == .open else { return SchedulerAction() }
        phase = .draining
        // First come, first served waits to fill its batches no longer.
        var action = SchedulerAction(computeWakes: parkedComputeThreads)
        parkedComputeThreads = []
        action.isDrained = isDrained
        return action
    }

    package mutating func stop() -> SchedulerAction {
        phase = .stopped
        var action = SchedulerAction()
        for id in requests.keys.sorted(by: { $0.number < $1.number }) {
            action.merge(end(id, with: .shuttingDown))
        }
        action.computeWakes = parkedComputeThreads
        action.recalls = gangs.callBack(configuration.computeThreadCount)
        action.tokenizerWakes = parkedTokenizers
        parkedComputeThreads = []
        parkedTokenizers = []
        return action
    }

    // MARK: Tokenizer threads

    package mutating func nextChunk(thread: Int) -> TokenizerStep {
        parkedTokenizers.removeAll { $0 == thread }
        if phase == .stopped { return .exit }
        if let chunk = tokenization.next() { return .tokenize(chunk) }
        parkedTokenizers.append(thread)
        return .park
    }

    /// The last chunk of a request decides: it is admitted whole, or refused whole.
    package mutating func chunkEnded(
        _ chunk: TokenizationChunk, _ result: Result<[TokenSequence], EmbeddingError>, now: ContinuousClock.Instant
    ) -> SchedulerAction {
        guard requests[chunk.request] != nil else { return SchedulerAction() }
        switch result {
        case .failure(let error): return end(chunk.request, with: error)
        case .success(let sequences):
            switch tokenization.finish(chunk, sequences: sequences, now: now) {
            case .gone: return SchedulerAction()
            case .unfinished: return SchedulerAction()
            case .finished(let request, let sequences, let elapsed):
                var action = admit(sequences, of: chunk.request, lane: request.lane, now: now)
                action.events.append(.tokenized(elapsed: elapsed))
                return action
            }
        }
    }

    // MARK: Compute threads

    /// A thread without a pass asks: after its last one, after it helped, when it was woken.
    package mutating func nextPass(thread: Int, now: ContinuousClock.Instant) -> ComputeStep {
        parkedComputeThreads.removeAll { $0 == thread }
        gangs.left(thread: thread)
        if phase == .stopped { return .exit }
        let entries: [QueueEntry]
        switch configuration.mode {
        case .continuous:
            entries = waiting.takeBest(
                now: now, idleThreadCount: configuration.computeThreadCount - runningPassCount)
        case .firstComeFirstServed(let batchSize, let wait):
            let due = waiting.oldestArrival.map { $0.advanced(by: wait) }
            if let due, phase == .open, waiting.count < batchSize, now < due {
                parkedComputeThreads.append(thread)
                return .park(until: due)
            }
            entries = waiting.takeOldest(batchSize)
        }
        guard !entries.isEmpty else {
            if let (leader, wantsMore) = gangs.join(thread: thread) {
                // One wakes the next, so that the leader need not.
                return .help(leader: leader, SchedulerAction(computeWakes: wakeComputeThreads(wantsMore ? 1 : 0)))
            }
            parkedComputeThreads.append(thread)
            return .park(until: nil)
        }
        for entry in entries { requests[entry.request]?.rows[entry.index] = .running }
        runningPassCount += 1
        // While nothing else waits, a thread that has nothing to do may as well help.
        let idleCount = configuration.computeThreadCount - runningPassCount - gangs.helperCount
        let isOpen = gangs.arePossible && waiting.isEmpty && idleCount > 0
        if isOpen { gangs.open(leader: thread) }
        let pass = Pass(entries: entries, startedAt: now, gangLeader: isOpen ? thread : nil)
        // What is left is another thread's: it may have come with more texts than threads were woken for.
        var action = findThreads(waiting.count)
        if isOpen { action.computeWakes = wakeComputeThreads(1) }
        action.events = [.passBegan(pass)]
        return .run(pass, action)
    }

    /// - Parameter vectors: one a sequence, in the pass's order; nil where a value was not finite.
    package mutating func passEnded(
        _ pass: Pass, vectors: [EmbeddingVector?], now: ContinuousClock.Instant
    ) -> SchedulerAction {
        precondition(vectors.count == pass.entries.count)
        let elapsed = pass.startedAt.duration(to: now)
        runningPassCount -= 1
        if let leader = pass.gangLeader { gangs.close(leader: leader) }
        budget.giveBack(pass.tokenCount)
        budget.record(tokenCount: pass.tokenCount, duration: elapsed)
        var action = SchedulerAction(events: [.passEnded(pass, elapsed: elapsed)])
        var discardedCount = 0
        for (entry, vector) in zip(pass.entries, vectors) {
            guard requests[entry.request] != nil else {
                discardedCount += 1
                continue
            }
            guard let vector else {
                action.merge(end(entry.request, with: .vectorNotFinite(index: entry.index)))
                continue
            }
            if let embeddings = requests[entry.request]?.finish(entry, vector) {
                requests[entry.request] = nil
                action.answers.append(.init(request: entry.request, result: .success(embeddings)))
            }
        }
        if discardedCount > 0 { action.events.append(.discarded(sequenceCount: discardedCount)) }
        action.isDrained = isDrained
        return action
    }

    // MARK: Private

    private var isDrained: Bool { phase != .open && requests.isEmpty && runningPassCount == 0 }

    private func earlyRefusal(of request: EmbeddingRequest, byteCount: Int) -> EmbeddingError? {
        guard phase == .open else { return .shuttingDown }
        // Every text has at least one token, and none more than the limit: a request that surely can be taken later but
        // surely not now is not worth its tokenization.
        if request.inputs.count * sequenceLimit <= budget.limit,
            let refusal = budget.refusal(
                forAtLeast: request.inputs.count,
                probably: TokenizationQueue.probableTokenCount(of: request, sequenceLimit: sequenceLimit))
        {
            return refusal
        }
        // Alone, a request is taken whatever its size, so that "later" is not "never".
        if !tokenization.isEmpty, tokenization.byteCount + byteCount > configuration.maximumTokenizingBytes {
            return .overloaded(retryAfter: .seconds(1))
        }
        return nil
    }

    private mutating func admit(
        _ sequences: [TokenSequence], of id: RequestID, lane: Lane, now: ContinuousClock.Instant
    ) -> SchedulerAction {
        let tokenCount = sequences.reduce(0) { $0 + $1.ids.count }
        if let refusal = budget.take(tokenCount) { return end(id, with: refusal) }
        var rows: [RequestRecord.Row] = []
        rows.reserveCapacity(sequences.count)
        for (index, sequence) in sequences.enumerated() {
            rows.append(.waiting(waiting.append(sequence, of: id, index: index, lane: lane, now: now)))
        }
        requests[id] = RequestRecord(lane: lane, rows: rows)
        var action = findThreads(sequences.count)
        action.events = [
            .admitted(
                lane: lane, sequenceCount: sequences.count, tokenCount: tokenCount,
                truncatedCount: sequences.count { $0.isTruncated })
        ]
        return action
    }

    private func refused(_ id: RequestID, _ error: EmbeddingError) -> SchedulerAction {
        SchedulerAction(answers: [.init(request: id, result: .failure(error))], events: [.refused(error)])
    }

    /// Answers with an error and takes back what has not run yet; what runs is discarded when its pass ends.
    private mutating func end(_ id: RequestID, with error: EmbeddingError) -> SchedulerAction {
        guard let record = requests.removeValue(forKey: id) else { return SchedulerAction() }
        tokenization.remove(id)
        var action = refused(id, error)
        var droppedCount = 0
        var droppedTokens = 0
        for case .waiting(let slot) in record.rows {
            droppedCount += 1
            droppedTokens += waiting.remove(slot, in: record.lane).tokenCount
        }
        if droppedCount > 0 {
            budget.giveBack(droppedTokens)
            action.events.append(
                .dropped(lane: record.lane, sequenceCount: droppedCount, tokenCount: droppedTokens))
        }
        action.isDrained = isDrained
        return action
    }

    private mutating func wakeTokenizer() -> [Int] {
        parkedTokenizers.popLast().map { [$0] } ?? []
    }

    /// Up to so many threads for what waits: those that sleep, then those that help.
    private mutating func findThreads(_ count: Int) -> SchedulerAction {
        let woken = wakeComputeThreads(count)
        return SchedulerAction(computeWakes: woken, recalls: gangs.callBack(count - woken.count))
    }

    /// The threads that slept least, since their caches are warmest.
    private mutating func wakeComputeThreads(_ count: Int) -> [Int] {
        let woken = Array(parkedComputeThreads.suffix(count))
        parkedComputeThreads.removeLast(woken.count)
        return woken
    }
}

/// One request on its way.
private struct RequestRecord {
    enum Row {
        case waiting(LengthBuckets.Slot)
        case running
        case done(Embedding)
    }

    let lane: Lane
    /// One a text; empty while the request is tokenized.
    var rows: [Row] = []
    private var unfinishedCount: Int

    init(lane: Lane, rows: [Row] = []) {
        self.lane = lane
        self.rows = rows
        unfinishedCount = rows.count
    }

    /// All embeddings, in the inputs' order, once the last one is there.
    mutating func finish(_ entry: QueueEntry, _ vector: EmbeddingVector) -> [Embedding]? {
        rows[entry.index] = .done(
            Embedding(
                vector: vector, tokenCount: entry.tokenCount, isTruncated: entry.sequence.isTruncated))
        unfinishedCount -= 1
        guard unfinishedCount == 0 else { return nil }
        return rows.compactMap { if case .done(let embedding) = $0 { embedding } else { nil } }
    }
}

extension SchedulerAction {
    fileprivate mutating func merge(_ other: SchedulerAction) {
        answers += other.answers
        computeWakes += other.computeWakes
        recalls += other.recalls
        tokenizerWakes += other.tokenizerWakes
        isDrained = isDrained || other.isDrained
        events += other.events
    }
}
