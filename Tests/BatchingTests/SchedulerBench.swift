import Batching
import Embeddings

/// A scheduler with a clock that only the test moves, and texts that are nothing but their lengths.
struct SchedulerBench: ~Copyable {
    var state: SchedulerState
    var now = ContinuousClock.now
    private var lastRequest: UInt64 = 0
    private var lastText: Int32 = 0

    init(limit: Int = 256, _ change: (inout BatchingConfiguration) -> Void = { _ in }) {
        var configuration = BatchingConfiguration()
        // Passes have the size that is configured, unless a test is about the machine's speed.
        configuration.interactivePassTime = .seconds(3_600)
        configuration.bulkFillTime = .seconds(3_600)
        change(&configuration)
        state = SchedulerState(configuration: configuration, sequenceLimit: limit)
    }

    /// The vector that stands for "computed": a text's length and its first token, so that a mix-up shows.
    static func vector(of entry: QueueEntry) -> EmbeddingVector { vector(of: entry.sequence.ids) }

    static func vector(of ids: [Int32]) -> EmbeddingVector { EmbeddingVector([Float(ids.count), Float(ids[0])]) }

    /// Begins a request of texts that nobody asked for before, and tokenizes everything that waits.
    @discardableResult
    mutating func submit(
        _ lengths: [Int], lane: Lane = .interactive, client: ClientID = .unnamed
    ) -> (RequestID, SchedulerAction) {
        submit(texts: lengths.map { text(ofLength: $0) }, lane: lane, client: client)
    }

    /// Token ids that no other text begins with.
    mutating func text(ofLength length: Int) -> [Int32] {
        lastText += 1
        return [lastText] + Array(repeating: 7, count: length - 1)
    }

    @discardableResult
    mutating func submit(
        texts: [[Int32]], lane: Lane = .interactive, client: ClientID = .unnamed,
        deadline: ContinuousClock.Instant? = nil, failurePolicy: FailurePolicy = .request
    ) -> (RequestID, SchedulerAction) {
        lastRequest += 1
        let id = RequestID(lastRequest)
        let request = EmbeddingRequest(
            inputs: texts.map { .tokens($0) }, lane: lane, client: client, deadline: deadline,
            failurePolicy: failurePolicy)
        var action = state.begin(request, id: id, now: now)
        if let chunk = action.inlineChunk { return (id, state.chunkEnded(chunk, Self.results(of: chunk), now: now)) }
        while action.answers.isEmpty, case .tokenize(let chunk) = state.nextChunk(thread: 0) {
            action = state.chunkEnded(chunk, Self.results(of: chunk), now: now)
        }
        return (id, action)
    }

    mutating func pass(thread: Int = 0) -> Pass? {
        if case .run(let pass, _) = state.nextPass(thread: thread, now: now) { pass } else { nil }
    }

    /// A pass that the test counts on.
    mutating func neededPass(thread: Int = 0) throws -> Pass {
        guard let pass = pass(thread: thread) else { throw NothingToRun() }
        return pass
    }

    mutating func neededInterlude(thread: Int = 0) throws -> Pass {
        guard let (pass, _) = state.nextInterlude(thread: thread, now: now) else { throw NothingToRun() }
        return pass
    }

    @discardableResult
    mutating func end(_ pass: Pass) -> SchedulerAction {
        state.passEnded(pass, vectors: pass.entries.map { Self.vector(of: $0) }, now: now)
    }

    mutating func advance(_ duration: Duration) {
        now = now.advanced(by: duration)
    }

    /// A token below 0 stands for one that the model does not have.
    static func results(of chunk: TokenizationChunk) -> [Result<TokenSequence, EmbeddingError>] {
        chunk.inputs.enumerated().map { place, input in
            switch input {
            case .tokens(let ids):
                ids[0] < 0
                    ? .failure(.invalidToken(index: chunk.firstIndex + place, id: ids[0], vocabularySize: 9))
                    : .success(TokenSequence(ids: ids))
            case .text(let text): .success(TokenSequence(ids: text.utf8.map { Int32($0) }))
            }
        }
    }
}

struct NothingToRun: Error {}

extension Pass {
    var lengths: [Int] { entries.map(\.tokenCount) }
}

extension SchedulerAction {
    /// What the first answer failed with.
    var error: EmbeddingError? {
        if case .failure(let error) = answers.first?.result { error } else { nil }
    }

    /// How long the first answer asks to wait, where it is that the queue is full.
    var retryAfter: Duration? {
        if case .overloaded(let duration) = error { duration } else { nil }
    }
}
