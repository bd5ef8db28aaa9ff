import Embeddings
import Synchronization

/// A text's vector is its length and a sum of its bytes; calls fail as a test wants them to.
final class ScriptedEmbedder: Embedder {
    struct State {
        var calls: [[String]] = []
        var lanes: Set<Lane> = []
        var tokensInside = 0
        var mostTokensInside = 0
        /// What a call fails with; nil where it succeeds.
        var fault: @Sendable ([String]) -> EmbeddingError? = { _ in nil }
        /// Calls hang until they are cancelled.
        var hangs: @Sendable ([String]) -> Bool = { _ in false }
        var cancellationCount = 0
    }

    private let state = Mutex(State())
    let isReady = true
    let model = ModelDescription(
        name: "test/scripted", servedNames: [], dimensions: 2, maximumSequenceLength: 256, vocabularySize: 100,
        precision: .fp32, fingerprint: ModelFingerprint(bytes: Array(repeating: 1, count: 32)))

    func change<R: Sendable>(_ body: @Sendable (inout State) -> R) -> R { state.withLock { body(&$0) } }

    var calls: [[String]] { state.withLock { $0.calls } }
    var embeddedTexts: [String] { calls.flatMap { $0 } }

    static func embedding(of text: String) -> Embedding {
        let sum = text.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) % 1_000_003 }
        return Embedding(
            vector: EmbeddingVector([Float(text.utf8.count), Float(sum)]), tokenCount: text.utf8.count + 2,
            isTruncated: false)
    }

    func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        let texts = request.inputs.map { input in
            switch input {
            case .text(let text): text
            case .tokens: ""
            }
        }
        let tokenCount = texts.reduce(0) { $0 + min(256, $1.utf8.count + 2) }
        let (fault, hangs) = state.withLock { state in
            state.lanes.insert(request.lane)
            state.tokensInside += tokenCount
            state.mostTokensInside = max(state.mostTokensInside, state.tokensInside)
            return (state.fault, state.hangs)
        }
        defer { state.withLock { $0.tokensInside -= tokenCount } }
        // Other calls come in before this one is through.
        for _ in 0..<5 { await Task.yield() }
        if hangs(texts) {
            for await _ in AsyncStream<Never>.makeStream().stream {}
            state.withLock { $0.cancellationCount += 1 }
            throw .cancelled
        }
        if Task.isCancelled { throw .cancelled }
        if let error = fault(texts) { throw error }
        state.withLock { $0.calls.append(texts) }
        return EmbeddingReport(results: texts.map { .success(Self.embedding(of: $0)) })
    }
}
