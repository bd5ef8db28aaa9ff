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
/// A compute thread
/// - is *working* while it has a pass. Can go to: looking, lost.
/// - is *looking*, or helps with another's pass, until it is given one. Can go to: working.
/// - is *lost* where it was not heard of for too long in the middle of a pass; another takes its place, and its pass is
///   run once more. Final.
///
/// The whole
/// - is *open* at first. Can go to: draining.
/// - is *draining* from `beginShutdown`: refuses new requests, finishes those it has. Can go to: stopped.
/// - is *stopped* from `stop`: answers what is left with `.shuttingDown`; threads exit. Final.
package struct SchedulerState: ~Copyable {
    enum Phase {
        case open
        case draining
        case stopped
    }

    let configuration: BatchingConfiguration
    let sequenceLimit: Int
    var phase = Phase.open
    var requests: [RequestID: RequestRecord] = [:]
    var tokenization = TokenizationQueue()
    var waiting: WaitingLanes
    var window = TextWindow()
    var budget: AdmissionBudget
    var throughput: Throughput
    var forecasters: [Lane: QueueForecaster]
    var running = RunningPasses()
    /// What lost threads were in the middle of, to be run once more.
    var retries: [Pass] = []
    var lostThreads: Set<Int> = []
    /// When the next one that is refused may come back.
    var nextReturn: ContinuousClock.Instant?
    var parkedComputeThreads: [Int] = []
    var parkedTokenizers: [Int] = []
    var gangs: OpenGangs

    /// - Parameter sequenceLimit: tokens of the model's longest sequence.
    package init(configuration: BatchingConfiguration, sequenceLimit: Int) {
        self.configuration = configuration
        self.sequenceLimit = sequenceLimit
        waiting = WaitingLanes(configuration: configuration, sequenceLimit: sequenceLimit)
        gangs = OpenGangs(memberLimit: configuration.gangMemberLimit)
        budget = AdmissionBudget(limit: configuration.queueBudget(sequenceLimit: sequenceLimit))
        throughput = Throughput(threadCount: configuration.computeThreadCount)
        forecasters = Dictionary(uniqueKeysWithValues: Lane.allCases.map { ($0, QueueForecaster()) })
    }

    // MARK: Compute threads

    /// A thread without a pass asks: after its last one, after it helped, when it was woken.
    package mutating func nextPass(thread: Int, now: ContinuousClock.Instant) -> ComputeStep {
        parkedComputeThreads.removeAll { $0 == thread }
        lostThreads.remove(thread)
        gangs.left(thread: thread)
        if phase == .stopped { return .exit }
        if let retry = nextRetry() {
            let pass = running.begin(retry.entries, thread: thread, now: now, attempt: retry.attempt + 1)
            return .run(pass, SchedulerAction(events: [.passBegan(pass)]))
        }
        let entries: [QueueEntry]
        switch configuration.mode {
        case .continuous:
            entries = waiting.takeBest(
                idleThreadCount: configuration.computeThreadCount - running.threadCount,
                interactiveTokens: tokens(of: configuration.interactivePassTime, configuration.minimumShareTokens),
                bulkFillTokens: min(
                    configuration.bulkFillTokens, tokens(of: configuration.bulkFillTime, configuration.interludeTokens)),
                now: now)
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
        for entry in entries { window.move(entry.order, to: .running) }
        // While nothing else waits, a thread that has nothing to do may as well help.
        let idleCount = configuration.computeThreadCount - running.threadCount - 1 - gangs.helperCount
        let isOpen = gangs.arePossible && waiting.isEmpty && idleCount > 0
        if isOpen { gangs.open(leader: thread) }
        let pass = running.begin(
            entries, thread: thread, now: now, gangLeader: isOpen ? thread : nil,
            allowsInterludes: configuration.mode == .continuous && !isOpen && entries[0].lane == .bulk)
        // What is left is another thread's: it may have come with more texts than threads were woken for.
        var action = findThreads(waiting.count)
        if isOpen { action.computeWakes = wakeComputeThreads(1) }
        action.events = [.passBegan(pass)]
        return .run(pass, action)
    }

    /// What a thread computes in that time at the measured rate, but no fewer tokens than `least`.
    private func tokens(of time: Duration, _ least: Int) -> Int {
        let rate = throughput.tokensPerSecond / Double(configuration.computeThreadCount)
        return max(least, Int(rate * (time / .seconds(1))))
    }

    /// Whether a thread between two steps of a pass that allows it should ask for an interlude.
    package var wantsInterlude: Bool { waiting.depth(of: .interactive).textCount > 0 && phase != .stopped }

    /// A thread between two steps of a bulk pass asks for interactive work; nil where there is none.
    package mutating func nextInterlude(thread: Int, now: ContinuousClock.Instant) -> (Pass, SchedulerAction)? {
        guard phase != .stopped, let tokens = running.interludeTokens(onThread: thread),
            // Of what its pass takes, bulk work keeps its share.
            Double(tokens.taken) * waiting.creditOfToken < Double(tokens.own)
        else { return nil }
        let entries = waiting.takeInterlude(now: now)
        guard !entries.isEmpty else { return nil }
        for entry in entries { window.move(entry.order, to: .running) }
        let pass = running.begin(entries, thread: thread, now: now, isInterlude: true)
        return (pass, SchedulerAction(events: [.passBegan(pass)]))
    }

    /// - Parameter vectors: one a sequence, in the pass's order; nil where a value was not finite.
    package mutating func passEnded(
        _ pass: Pass, vectors: [EmbeddingVector?], now: ContinuousClock.Instant
    ) -> SchedulerAction {
        precondition(vectors.count == pass.entries.count)
        // Its thread was given up: others have its texts, or their callers have their answers.
        guard let elapsed = running.end(pass, now: now) else { return SchedulerAction() }
        if let leader = pass.gangLeader { gangs.close(leader: leader) }
        throughput.record(tokenCount: pass.tokenCount, duration: elapsed)
        var action = SchedulerAction(events: [.passEnded(pass, elapsed: elapsed)])
        var discardedCount = 0
        for (entry, vector) in zip(pass.entries, vectors) {
            let subscribers = window.finish(entry.order)
            if subscribers.isEmpty { discardedCount += 1 }
            for subscriber in subscribers {
                let result =
                    vector.map { Result<EmbeddingVector, EmbeddingError>.success($0) }
                    ?? .failure(.vectorNotFinite(index: subscriber.index))
                action.merge(settle(subscriber, result, lastPass: pass, now: now))
            }
        }
        if discardedCount > 0 { action.events.append(.discarded(sequenceCount: discardedCount)) }
        action.isDrained = isDrained
        return action
    }

    /// What of a lost pass is still wanted; nil where nothing is.
    private mutating func nextRetry() -> (entries: [QueueEntry], attempt: Int)? {
        while !retries.isEmpty {
            let lost = retries.removeFirst()
            let wanted = lost.entries.filter { window.isWanted($0.order) }
            for entry in lost.entries where !window.isWanted(entry.order) { _ = window.finish(entry.order) }
            if !wanted.isEmpty { return (wanted, lost.attempt) }
        }
        return nil
    }

    // MARK: What the other parts of the state use

    var isDrained: Bool { phase != .open && requests.isEmpty && running.isEmpty && retries.isEmpty }

    /// One text of a request has its vector, or none.
    mutating func settle(
        _ subscriber: TextWindow.Subscriber, _ result: Result<EmbeddingVector, EmbeddingError>, lastPass: Pass?,
        now: ContinuousClock.Instant
    ) -> SchedulerAction {
        let id = subscriber.request
        guard let index = requests.index(forKey: id) else { return SchedulerAction() }
        if case .failure(let error) = result, requests.values[index].failurePolicy == .request {
            return end(id, with: error)
        }
        let (client, lane) = (requests.values[index].client, requests.values[index].lane)
        budget.giveBack(requests.values[index].finish(subscriber.index, result), of: client)
        guard requests.values[index].isDone else { return SchedulerAction() }
        let record = requests.remove(at: index).value
        let report = record.report(lastPass: lastPass, now: now)
        if let forecast = record.forecast {
            forecasters[lane]?.learn(forecast, completedTokens: throughput.completedTokens)
        }
        return SchedulerAction(answers: [.init(request: id, result: .success(report))])
    }

    /// Answers with an error and takes back what has not run yet; what runs is discarded when its pass ends.
    mutating func end(_ id: RequestID, with error: EmbeddingError) -> SchedulerAction {
        guard let record = requests.removeValue(forKey: id) else { return SchedulerAction() }
        tokenization.remove(id)
        budget.giveBack(record.openTokenCount, of: record.client)
        var action = refused(id, error)
        var droppedCount = 0
        for order in record.openOrders {
            guard let lane = window.leave(order, id) else { continue }
            _ = waiting.remove(order, in: lane)
            droppedCount += 1
        }
        if droppedCount > 0 { action.events.append(.dropped(sequenceCount: droppedCount)) }
        action.isDrained = isDrained
        return action
    }

    func refused(_ id: RequestID, _ error: EmbeddingError) -> SchedulerAction {
        SchedulerAction(answers: [.init(request: id, result: .failure(error))], events: [.refused(error)])
    }

    /// Up to so many threads for what waits: those that sleep, then those that help.
    mutating func findThreads(_ count: Int) -> SchedulerAction {
        let woken = wakeComputeThreads(count)
        return SchedulerAction(computeWakes: woken, recalls: gangs.callBack(count - woken.count))
    }

    /// The threads that slept least, since their caches are warmest.
    mutating func wakeComputeThreads(_ count: Int) -> [Int] {
        let woken = Array(parkedComputeThreads.suffix(count))
        parkedComputeThreads.removeLast(woken.count)
        return woken
    }
}
