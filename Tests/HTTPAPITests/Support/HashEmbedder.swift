import Embeddings
import Synchronization

/// A real, tiny model: a text's vector is the normalised sum of one pseudo-random direction a word.
final class HashEmbedder: Embedder {
    static let dimensions = 8
    /// Words a text may have.
    static let wordLimit = 6

    let model: ModelDescription
    var isReady: Bool { state.withLock { $0.isReady } }
    /// A Mutex: what tests read and set; never held across an await.
    private let state = Mutex(State())

    struct State {
        /// The next calls fail so.
        var failures: [EmbeddingError] = []
        var isReady = true
        /// Calls wait until they are cancelled.
        var hangs = false
        /// What every report tells.
        var timing = EmbeddingTiming()
        var promisedWait: Duration?
        var requests: [EmbeddingRequest] = []
        var cancellationCount = 0
    }

    init(name: String = "test/hash-model", fingerprint: UInt8 = 7) {
        model = ModelDescription(
            name: name, servedNames: [name, "alias"], dimensions: Self.dimensions,
            maximumSequenceLength: Self.wordLimit, vocabularySize: 100, precision: .fp32,
            fingerprint: ModelFingerprint(bytes: Array(repeating: fingerprint, count: 32)))
    }

    var requests: [EmbeddingRequest] { state.withLock { $0.requests } }
    var embeddedTexts: [String] {
        requests.flatMap(\.inputs).compactMap { if case .text(let text) = $0 { text } else { nil } }
    }
    var cancellationCount: Int { state.withLock { $0.cancellationCount } }

    func failNext(_ failures: EmbeddingError...) { state.withLock { $0.failures += failures } }
    func setReady(_ isReady: Bool) { state.withLock { $0.isReady = isReady } }
    func report(_ timing: EmbeddingTiming, promisedWait: Duration?) {
        state.withLock { state in
            state.timing = timing
            state.promisedWait = promisedWait
        }
    }
    func hang() { state.withLock { $0.hangs = true } }

    func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        let (failure, hangs, timing, promisedWait) = state.withLock { state in
            state.requests.append(request)
            let failure = state.failures.isEmpty ? nil : state.failures.removeFirst()
            return (failure, state.hangs, state.timing, state.promisedWait)
        }
        if let failure { throw failure }
        if hangs {
            // A stream that nobody feeds: only cancellation ends the wait.
            for await _ in AsyncStream<Never>.makeStream().stream {}
            state.withLock { $0.cancellationCount += 1 }
            throw .cancelled
        }
        var results: [Result<Embedding, EmbeddingError>] = []
        for (index, input) in request.inputs.enumerated() {
            do throws(EmbeddingError) {
                results.append(.success(try embed(input, at: index, of: request)))
            } catch {
                if request.failurePolicy == .request { throw error }
                results.append(.failure(error))
            }
        }
        return EmbeddingReport(results: results, timing: timing, promisedWait: promisedWait)
    }

    private func embed(
        _ input: EmbeddingInput, at index: Int, of request: EmbeddingRequest
    ) throws(EmbeddingError) -> Embedding {
        var words: [UInt64]
        switch input {
        case .text(let text):
            if text.contains("NOTFINITE") { throw .vectorNotFinite(index: index) }
            words = text.split(separator: " ").map { Self.hash($0.utf8) }
        case .tokens(let ids):
            for id in ids where !(0..<100).contains(id) {
                throw .invalidToken(index: index, id: id, vocabularySize: 100)
            }
            words = ids.map { UInt64($0) }
        }
        let isTruncated = words.count > Self.wordLimit
        if isTruncated, request.truncation == .none { throw .inputTooLong(index: index, limit: Self.wordLimit) }
        words = Array(words.prefix(Self.wordLimit))
        var sum = [Float](repeating: 0.001, count: Self.dimensions)
        for word in words {
            var state = word
            for place in sum.indices {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                sum[place] += Float(Int32(truncatingIfNeeded: state >> 32)) / Float(Int32.max)
            }
        }
        let vector = EmbeddingVector(sum).normalized() ?? EmbeddingVector(sum)
        return Embedding(vector: vector, tokenCount: words.count, isTruncated: isTruncated)
    }

    /// What `embed` would read of a text.
    static func count(_ text: String) -> (count: Int, isTruncated: Bool) {
        let count = text.split(separator: " ").count
        return (min(count, wordLimit), count > wordLimit)
    }

    /// FNV-1a.
    private static func hash(_ bytes: Substring.UTF8View) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
