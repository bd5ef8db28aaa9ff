import Batching
import Embeddings

/// A scheduler with a clock that only the test moves, and texts that are nothing but their lengths.
struct SchedulerBench: ~Copyable {
    var state: SchedulerState
    var now = ContinuousClock.now
    private var lastRequest: UInt64 = 0

    init(limit: Int = 256, _ change: (inout BatchingConfiguration) -> Void = { _ in }) {
        var configuration = BatchingConfiguration()
        change(&configuration)
        state = SchedulerState(configuration: configuration, sequenceLimit: limit)
    }

    /// The vector that stands for "computed"; a text's own length and index, so that a mix-up shows.
    static func vector(of entry: QueueEntry) -> EmbeddingVector {
        EmbeddingVector([Float(entry.tokenCount), Float(entry.index)])
    }

    /// Begins a request and tokenizes everything that waits.
    @discardableResult
    mutating func submit(_ lengths: [Int], lane: Lane = .interactive) -> (RequestID, SchedulerAction) {
        lastRequest += 1
        let id = RequestID(lastRequest)
        let inputs = lengths.map { EmbeddingInput.tokens(Array(repeating: 7, count: $0)) }
        var action = state.begin(EmbeddingRequest(inputs: inputs, lane: lane), id: id, now: now)
        while action.answers.isEmpty, case .tokenize(let chunk) = state.nextChunk(thread: 0) {
            action = state.chunkEnded(chunk, .success(Self.sequences(of: chunk)), now: now)
        }
        return (id, action)
    }

    mutating func pass(thread: Int = 0) -> Pass? {
        if case .run(let pass, _) = state.nextPass(thread: thread, now: now) { pass } else { nil }
    }

    @discardableResult
    mutating func end(_ pass: Pass) -> SchedulerAction {
        state.passEnded(pass, vectors: pass.entries.map(Self.vector), now: now)
    }

    mutating func advance(_ duration: Duration) {
        now = now.advanced(by: duration)
    }

    static func sequences(of chunk: TokenizationChunk) -> [TokenSequence] {
        chunk.inputs.map {
            switch $0 {
            case .tokens(let ids): TokenSequence(ids: ids)
            case .text(let text): TokenSequence(ids: text.utf8.map { Int32($0) })
            }
        }
    }
}

extension Pass {
    var lengths: [Int] { entries.map(\.tokenCount) }
}
