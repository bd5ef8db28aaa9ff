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

    private typealias Caller = CheckedContinuation<Result<[Embedding], EmbeddingError>, Never>

    private struct Shared: ~Copyable {
        var scheduler: SchedulerState
        var callers: [RequestID: Caller] = [:]
        var lastRequest: UInt64 = 0
        var runningThreadCount: Int
    }

    package let model: ModelDescription
    private let shared: Mutex<Shared>
    private let tokenize: Tokenize
    private let metrics: BatchingMetrics
    private let paddingID: Int32
    private let computeSpots: [ParkingSpot]
    /// One a compute thread: its own passes, and its call back from others'.
    private let gangs: [Gang]
    private let recalls: [Recall]
    private let tokenizerSpots: [ParkingSpot]
    private let drained = Latch()
    private let stopped = Latch()

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - tokenize: called on the tokenizer threads, from several at once where there are several.
    ///   - makeEncoder: called once on each compute thread; what it returns stays on that thread.
    /// - Precondition: `configuration.complaint` is nil.
    package init(
        model: ModelDescription, configuration: BatchingConfiguration, metrics: BatchingMetrics, paddingID: Int32,
        tokenize: @escaping Tokenize, makeEncoder: @escaping @Sendable () -> any BatchEncoder
    ) {
        precondition(configuration.complaint == nil, configuration.complaint ?? "")
        self.model = model
        self.tokenize = tokenize
        self.metrics = metrics
        self.paddingID = paddingID
        computeSpots = (0..<configuration.computeThreadCount).map { _ in ParkingSpot() }
        gangs = computeSpots.map { _ in Gang(memberLimit: configuration.gangMemberLimit) }
        recalls = computeSpots.map { _ in Recall() }
        tokenizerSpots = (0..<configuration.tokenizerThreadCount).map { _ in ParkingSpot() }
        shared = Mutex(
            Shared(
                scheduler: SchedulerState(configuration: configuration, sequenceLimit: model.maximumSequenceLength),
                runningThreadCount: computeSpots.count + tokenizerSpots.count))
        for thread in computeSpots.indices {
            start(named: "compute-\(thread)") { $0.compute(thread, with: makeEncoder()) }
        }
        for thread in tokenizerSpots.indices {
            start(named: "tokenize-\(thread)") { $0.tokenize(thread) }
        }
    }

    package func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        guard !request.inputs.isEmpty else { return EmbeddingReport(results: []) }
        let id = shared.withLock { shared in
            shared.lastRequest += 1
            return RequestID(shared.lastRequest)
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (caller: Caller) in
                // Cancelled before it began: nothing to take back.
                if Task.isCancelled { return caller.resume(returning: .failure(.cancelled)) }
                tell { shared in
                    shared.callers[id] = caller
                    return shared.scheduler.begin(request, id: id, now: .now)
                }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            cancel(id)
        }
        return try result.get()
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

    /// Texts that wait for a pass, tokens of admitted and unfinished texts, and the measured tokens a second.
    package var load: BatchingLoad {
        shared.withLock { shared in
            BatchingLoad(
                waitingCount: shared.scheduler.waitingCount, admittedTokenCount: shared.scheduler.admittedTokenCount,
                tokensPerSecond: shared.scheduler.tokensPerSecond)
        }
    }

    // MARK: Threads

    private func compute(_ thread: Int, with encoder: any BatchEncoder) {
        while true {
            // Before the scheduler may call it back again.
            recalls[thread].clear()
            switch shared.withLock({ $0.scheduler.nextPass(thread: thread, now: .now) }) {
            case .exit: return
            case .park(let moment): computeSpots[thread].wait(until: moment)
            case .help(let leader, let action):
                perform(action, callers: [])
                encoder.help(gangs[leader], recall: recalls[thread])
            case .run(let pass, let action):
                perform(action, callers: [])
                let vectors = encoder.encode(
                    PaddedBatch(pass.entries.map(\.sequence), paddingID: paddingID),
                    gang: pass.gangLeader.map { gangs[$0] })
                let checked = vectors.map { $0.values.allSatisfy(\.isFinite) ? $0 : nil }
                tell { $0.scheduler.passEnded(pass, vectors: checked, now: .now) }
            }
        }
    }

    private func tokenize(_ thread: Int) {
        while true {
            switch shared.withLock({ $0.scheduler.nextChunk(thread: thread) }) {
            case .exit: return
            case .park: tokenizerSpots[thread].wait(until: nil)
            case .tokenize(let chunk):
                let result = sequences(of: chunk)
                tell { $0.scheduler.chunkEnded(chunk, result, now: .now) }
            }
        }
    }

    private func sequences(of chunk: TokenizationChunk) -> Result<[TokenSequence], EmbeddingError> {
        var sequences: [TokenSequence] = []
        sequences.reserveCapacity(chunk.inputs.count)
        for (index, input) in chunk.inputs.enumerated() {
            do throws(TokenizationRefusal) {
                let sequence = try tokenize(input, chunk.role)
                if sequence.isTruncated, chunk.truncation == .none {
                    return .failure(
                        .inputTooLong(index: chunk.firstIndex + index, limit: model.maximumSequenceLength))
                }
                sequences.append(sequence)
            } catch {
                return .failure(
                    .invalidToken(
                        index: chunk.firstIndex + index, id: error.tokenID, vocabularySize: model.vocabularySize))
            }
        }
        return .success(sequences)
    }

    private func start(named name: String, _ body: @escaping @Sendable (BatchingEmbedder) -> Void) {
        let thread = Thread {
            body(self)
            let isLast = self.shared.withLock { shared in
                shared.runningThreadCount -= 1
                return shared.runningThreadCount == 0
            }
            if isLast { self.stopped.open() }
        }
        thread.name = name
        // A forward pass keeps its scratch on the heap; BLAS wants a main thread's stack.
        thread.stackSize = 8 << 20
        thread.start()
    }

    // MARK: The shell

    private func cancel(_ id: RequestID) {
        tell { $0.scheduler.cancel(id) }
    }

    /// Tells the scheduler something and carries out what it answers.
    @discardableResult
    private func tell(_ input: (inout Shared) -> SchedulerAction) -> SchedulerAction {
        let (action, callers) = shared.withLock { shared in
            let action = input(&shared)
            return (action, action.answers.map { shared.callers.removeValue(forKey: $0.request) })
        }
        perform(action, callers: callers)
        return action
    }

    private func perform(_ action: SchedulerAction, callers: [Caller?]) {
        for thread in action.tokenizerWakes { tokenizerSpots[thread].wake() }
        for thread in action.computeWakes { computeSpots[thread].wake() }
        for thread in action.recalls { recalls[thread].set() }
        for event in action.events { metrics.record(event) }
        for (answer, caller) in zip(action.answers, callers) { caller?.resume(returning: answer.result) }
        if action.isDrained { drained.open() }
    }
}

/// What the embedder is busy with now.
package struct BatchingLoad: Sendable, Equatable {
    package let waitingCount: Int
    package let admittedTokenCount: Int
    package let tokensPerSecond: Double
}
