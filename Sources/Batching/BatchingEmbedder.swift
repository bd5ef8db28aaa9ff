import CoreMetrics
package import Embeddings
import Foundation
import Inference
import Synchronization

/// An input whose token ids are not the model's.
package struct TokenizationRefusal: Error, Sendable, Equatable {
    /// The first id outside the vocabulary.
    package let tokenID: Int32

    package init(tokenID: Int32) {
        self.tokenID = tokenID
    }
}

/// The embedder that groups texts by length into padded batches and runs them on threads of its own.
///
/// One `Mutex` guards the scheduler's state and the callers' continuations; it decides nothing. Tokenizing and the
/// forward passes run on dedicated threads, never on Swift's own pool. The threads hold the embedder: it lives until
/// `shutDown` returns.
package final class BatchingEmbedder: Embedder {
    package typealias Tokenize = @Sendable (EmbeddingInput, TextRole) throws(TokenizationRefusal) -> TokenSequence

    private typealias Caller = CheckedContinuation<Result<EmbeddingReport, EmbeddingError>, Never>

    private struct Shared: ~Copyable {
        var scheduler: SchedulerState
        var callers: [RequestID: Caller] = [:]
        var lastRequest: UInt64 = 0
        /// One a compute thread; another takes the place of one that is lost.
        var stations: [ComputeStation]
        /// Without the lost ones.
        var runningThreadCount: Int
    }

    package let model: ModelDescription
    private let shared: Mutex<Shared>
    private let configuration: BatchingConfiguration
    private let tokenize: Tokenize
    private let makeEncoder: @Sendable () -> any BatchEncoder
    private let metrics: BatchingMetrics
    private let journal: PassJournal
    private let paddingID: Int32
    private let tokenizerSpots: [ParkingSpot]
    /// Whether interactive work waits that may run between two steps; as the state said last.
    private let wantsInterlude = Atomic(false)
    private let drained = Latch()
    private let stopped = Latch()

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - tokenize: called on the tokenizer threads, and for small requests on their callers', from several at once.
    ///   - makeEncoder: called once on each compute thread; what it returns stays on that thread.
    /// - Precondition: `configuration.complaint` is nil.
    package init(
        model: ModelDescription, configuration: BatchingConfiguration, metrics: BatchingMetrics, paddingID: Int32,
        tokenize: @escaping Tokenize, makeEncoder: @escaping @Sendable () -> any BatchEncoder
    ) {
        precondition(configuration.complaint == nil, configuration.complaint ?? "")
        self.model = model
        self.configuration = configuration
        self.tokenize = tokenize
        self.makeEncoder = makeEncoder
        self.metrics = metrics
        journal = PassJournal()
        self.paddingID = paddingID
        let stations = (0..<configuration.computeThreadCount).map { _ in
            ComputeStation(gangMemberLimit: configuration.gangMemberLimit)
        }
        tokenizerSpots = (0..<configuration.tokenizerThreadCount).map { _ in ParkingSpot() }
        shared = Mutex(
            Shared(
                scheduler: SchedulerState(configuration: configuration, sequenceLimit: model.maximumSequenceLength),
                stations: stations, runningThreadCount: stations.count + tokenizerSpots.count))
        for (thread, station) in stations.enumerated() { startComputing(thread, at: station) }
        for thread in tokenizerSpots.indices {
            start(named: "tokenize-\(thread)") { embedder in
                embedder.tokenize(thread)
                embedder.threadEnded()
            }
        }
    }

    package func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        guard !request.inputs.isEmpty else { return EmbeddingReport(results: []) }
        let id = shared.withLock { shared in
            shared.lastRequest += 1
            return RequestID(shared.lastRequest)
        }
        guard let deadline = request.deadline else { return try await answer(request, id).get() }
        let result = await withTaskGroup(of: Result<EmbeddingReport, EmbeddingError>?.self) { group in
            group.addTask { await self.answer(request, id) }
            group.addTask {
                // Cancelled: the answer was there first.
                guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return nil }
                self.tell { $0.scheduler.expire(id) }
                return nil
            }
            while let next = await group.next() {
                guard let next else { continue }
                group.cancelAll()
                return next
            }
            return .failure(.cancelled)
        }
        return try result.get()
    }

    private func answer(_ request: EmbeddingRequest, _ id: RequestID) async -> Result<EmbeddingReport, EmbeddingError> {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (caller: Caller) in
                // Cancelled before it began: nothing to take back.
                if Task.isCancelled { return caller.resume(returning: .failure(.cancelled)) }
                let action = tell { shared in
                    shared.callers[id] = caller
                    return shared.scheduler.begin(request, id: id, now: .now)
                }
                if let chunk = action.inlineChunk {
                    let results = self.results(of: chunk)
                    tell { $0.scheduler.chunkEnded(chunk, results, now: .now) }
                }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    /// Refuses new work from now on; what was taken goes on.
    package func beginShutdown() {
        tell { $0.scheduler.beginShutdown() }
    }

    /// Refuses new work, finishes what was taken, at most until the deadline, answers what is left with `.shuttingDown`,
    /// and ends the threads, which wait for nothing but a pass under way. Returns whether everything was finished.
    /// Cancelling the calling task gives up every wait.
    @discardableResult
    package func shutDown(deadline: ContinuousClock.Instant) async -> Bool {
        beginShutdown()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [drained] in await drained.wait() }
            group.addTask {
                // It throws when it is cancelled, since everything is finished.
                try? await Task.sleep(until: deadline, clock: .continuous)
            }
            await group.next()
            group.cancelAll()
        }
        let leftovers = tell { $0.scheduler.stop() }.answers
        await stopped.wait()
        return leftovers.isEmpty
    }

    /// Looks after the compute threads until the calling task is cancelled: one that is not heard of in the middle of a
    /// pass for `lostThreadTimeout` is given up, another takes its place, and its pass is run once more.
    package func supervise() async {
        let interval = min(.seconds(1), configuration.lostThreadTimeout / 4)
        var lastLook = ContinuousClock.now
        while (try? await Task.sleep(for: interval, clock: .continuous)) != nil {
            // A process that was stopped, and goes on, knows nothing of its threads yet.
            let pause = lastLook.duration(to: .now)
            lastLook = .now
            guard pause < interval + configuration.lostThreadTimeout / 2 else { continue }
            tell { shared in
                shared.scheduler.inspect(beats: shared.stations.map(\.lastBeat), now: .now)
            }
        }
    }

    /// What is done now, and what was done since an earlier look.
    ///
    /// - Parameter cursor: the earlier look's; 0 for the first.
    package func activity(after cursor: UInt64) -> BatchingActivity {
        let now = ContinuousClock.now
        var activity = journal.excerpt(after: cursor, now: now)
        let load = shared.withLock { $0.scheduler.load(at: now) }
        activity.lanes = load.lanes
        activity.callCount = load.requestCount
        activity.admittedTokenCount = load.admittedTokenCount
        return activity
    }

    package var load: BatchingLoad { shared.withLock { $0.scheduler.load(at: .now) } }

    /// False while a lost compute thread's work is not done; see `supervise`.
    package var isReady: Bool { shared.withLock { $0.scheduler.isSound } }

    // MARK: Compute threads

    private func startComputing(_ thread: Int, at station: ComputeStation) {
        start(named: "compute-\(thread)") { embedder in
            embedder.compute(thread, at: station, with: embedder.makeEncoder())
            // One that was given up is not waited for.
            if embedder.holds(station, thread) { embedder.threadEnded() }
        }
    }

    private func holds(_ station: ComputeStation, _ thread: Int) -> Bool {
        shared.withLock { $0.stations[thread] === station }
    }

    private func compute(_ thread: Int, at station: ComputeStation, with encoder: any BatchEncoder) {
        var hasWorked = false
        while true {
            // Before the scheduler may call it back again.
            station.recall.clear()
            station.beat()
            let (step, stations) = ask { shared -> (ComputeStep, [ComputeStation]) in
                // A thread that was given up, and came back after all.
                guard shared.stations[thread] === station else { return (.exit, []) }
                return (shared.scheduler.nextPass(thread: thread, now: .now), shared.stations)
            }
            switch step {
            case .exit: return
            case .park(let moment):
                station.spot.wait(until: moment, lookout: hasWorked ? configuration.lookoutTime : .zero)
                hasWorked = false
            case .help(let leader, let action):
                perform(action, callers: [], stations: stations)
                encoder.help(stations[leader].gang, recall: station.recall)
                hasWorked = true
            case .run(let pass, let action):
                perform(action, callers: [], stations: stations)
                run(pass, at: station, with: encoder)
                hasWorked = true
            }
        }
    }

    private func run(_ pass: Pass, at station: ComputeStation, with encoder: any BatchEncoder) {
        let batch = PaddedBatch(pass.entries.map(\.sequence), paddingID: paddingID)
        let vectors = encoder.encode(batch, gang: pass.gangLeader == nil ? nil : station.gang) {
            station.beat()
            guard pass.allowsInterludes, wantsInterlude.load(ordering: .relaxed) else { return }
            runInterlude(thread: pass.thread, at: station, with: encoder)
        }
        end(pass, vectors)
    }

    /// Interactive work, between two steps of the thread's pass.
    private func runInterlude(thread: Int, at station: ComputeStation, with encoder: any BatchEncoder) {
        let interlude = ask { shared -> (Pass, SchedulerAction)? in
            guard shared.stations[thread] === station else { return nil }
            return shared.scheduler.nextInterlude(thread: thread, now: .now)
        }
        guard let (pass, action) = interlude else { return }
        // An interlude wakes nobody.
        perform(action, callers: [], stations: [])
        end(pass, encoder.encodeInterlude(PaddedBatch(pass.entries.map(\.sequence), paddingID: paddingID)))
    }

    private func end(_ pass: Pass, _ vectors: [EmbeddingVector]) {
        let checked = vectors.map { $0.values.allSatisfy(\.isFinite) ? $0 : nil }
        tell { $0.scheduler.passEnded(pass, vectors: checked, now: .now) }
    }

    // MARK: Tokenizer threads

    private func tokenize(_ thread: Int) {
        while true {
            switch shared.withLock({ $0.scheduler.nextChunk(thread: thread) }) {
            case .exit: return
            case .park: tokenizerSpots[thread].wait(until: nil)
            case .tokenize(let chunk):
                let results = results(of: chunk)
                tell { $0.scheduler.chunkEnded(chunk, results, now: .now) }
            }
        }
    }

    /// One an input; none after one that fails the whole request.
    private func results(of chunk: TokenizationChunk) -> [Result<TokenSequence, EmbeddingError>] {
        var results: [Result<TokenSequence, EmbeddingError>] = []
        results.reserveCapacity(chunk.inputs.count)
        for (place, input) in chunk.inputs.enumerated() {
            let result = sequence(of: input, at: chunk.firstIndex + place, in: chunk)
            results.append(result)
            if case .failure = result, chunk.failurePolicy == .request { break }
        }
        return results
    }

    private func sequence(
        of input: EmbeddingInput, at index: Int, in chunk: TokenizationChunk
    ) -> Result<TokenSequence, EmbeddingError> {
        do throws(TokenizationRefusal) {
            let sequence = try tokenize(input, chunk.role)
            return sequence.isTruncated && chunk.truncation == .none
                ? .failure(.inputTooLong(index: index, limit: model.maximumSequenceLength)) : .success(sequence)
        } catch {
            return .failure(.invalidToken(index: index, id: error.tokenID, vocabularySize: model.vocabularySize))
        }
    }

    private func start(named name: String, _ body: @escaping @Sendable (BatchingEmbedder) -> Void) {
        let thread = Thread { body(self) }
        thread.name = name
        // A forward pass keeps its scratch on the heap; BLAS wants a main thread's stack.
        thread.stackSize = 8 << 20
        thread.start()
    }

    private func threadEnded() {
        let isLast = shared.withLock { shared in
            shared.runningThreadCount -= 1
            return shared.runningThreadCount == 0
        }
        if isLast { stopped.open() }
    }

    // MARK: The shell

    private func cancel(_ id: RequestID) {
        tell { $0.scheduler.cancel(id) }
    }

    /// Everything that may change what waits goes through here, so that threads between two steps know.
    private func ask<Answer>(_ body: (inout Shared) -> Answer) -> Answer {
        shared.withLock { shared in
            let answer = body(&shared)
            wantsInterlude.store(shared.scheduler.wantsInterlude, ordering: .relaxed)
            return answer
        }
    }

    /// Tells the scheduler something and carries out what it answers.
    @discardableResult
    private func tell(_ input: (inout Shared) -> SchedulerAction) -> SchedulerAction {
        let (action, callers, stations) = ask { shared in
            let action = input(&shared)
            for thread in action.replacements {
                shared.stations[thread] = ComputeStation(gangMemberLimit: configuration.gangMemberLimit)
            }
            return (action, action.answers.map { shared.callers.removeValue(forKey: $0.request) }, shared.stations)
        }
        perform(action, callers: callers, stations: stations)
        return action
    }

    private func perform(_ action: SchedulerAction, callers: [Caller?], stations: [ComputeStation]) {
        for thread in action.tokenizerWakes { tokenizerSpots[thread].wake() }
        for thread in action.computeWakes { stations[thread].spot.wake() }
        for thread in action.recalls { stations[thread].recall.set() }
        for thread in action.replacements { startComputing(thread, at: stations[thread]) }
        for event in action.events {
            metrics.record(event)
            journal.record(event, now: .now)
        }
        for (answer, caller) in zip(action.answers, callers) { caller?.resume(returning: answer.result) }
        if action.isDrained { drained.open() }
    }
}
