import Embeddings
import NIOPosix
import Synchronization

/// Says what work would cost: counts tokens on threads of its own, knows the encoder's rate.
final class WorkEstimator: Sendable {
    /// How a rate was found.
    enum Basis: String {
        /// By the work of other requests.
        case measured
        /// By embedding a few texts for this purpose.
        case calibrated
    }

    struct TokenCount: Sendable {
        var count: Int
        var isTruncated: Bool
    }

    /// Dry runs leave the cores to those who embed.
    private static let threadCount = 1

    private let embedder: any Embedder
    private let countTokens: @Sendable (String) -> (count: Int, isTruncated: Bool)
    private let tokensPerSecond: @Sendable () -> Double?
    private let pool = NIOThreadPool(numberOfThreads: WorkEstimator.threadCount)
    /// A Mutex: one field, never held across an await.
    private let calibratedRate = Mutex<Double?>(nil)

    init(
        embedder: any Embedder, countTokens: @escaping @Sendable (String) -> (count: Int, isTruncated: Bool),
        tokensPerSecond: @escaping @Sendable () -> Double?
    ) {
        self.embedder = embedder
        self.countTokens = countTokens
        self.tokensPerSecond = tokensPerSecond
        pool.start()
    }

    deinit {
        pool.shutdownGracefully { _ in }
    }

    /// One count a text, in order.
    func count(_ texts: [String]) async -> [TokenCount] {
        await withCheckedContinuation { continuation in
            // Runs in any case; the pool stops only when nobody is left who could wait.
            pool.submit { [countTokens] _ in
                continuation.resume(
                    returning: texts.map { text in
                        let (count, isTruncated) = countTokens(text)
                        return TokenCount(count: count, isTruncated: isTruncated)
                    })
            }
        }
    }

    /// Tokens a second; nil where nothing is known and nothing could be found out.
    func rate() async -> (tokensPerSecond: Double, basis: Basis)? {
        if let rate = tokensPerSecond(), rate > 0 { return (rate, .measured) }
        if let rate = calibratedRate.withLock({ $0 }) { return (rate, .calibrated) }
        guard let rate = await calibrate() else { return nil }
        calibratedRate.withLock { $0 = rate }
        return (rate, .calibrated)
    }

    /// Sixty-four texts of four lengths, a second's work on a slow machine.
    private func calibrate() async -> Double? {
        let texts = (0..<64).map { number in
            (0..<(8 << (number % 4))).map { "word \(($0 + number) % 97)" }.joined(separator: " ")
        }
        let start = ContinuousClock.now
        do throws(EmbeddingError) {
            let embeddings = try await embedder.embed(
                EmbeddingRequest(inputs: texts.map { .text($0) }, lane: .bulk))
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let tokens = embeddings.reduce(0) { $0 + $1.tokenCount }
            return seconds > 0 && tokens > 0 ? Double(tokens) / seconds : nil
        } catch {
            // An estimate without a time is still one.
            return nil
        }
    }
}

/// How many texts of a stream equal an earlier one, at bounded memory: exact for as many different texts as it holds
/// hashes, then estimated from the texts whose hash ends in so many zeros (Gibbons, Distinct Sampling, VLDB 2001).
struct DuplicateCounter {
    private let limit: Int
    private var hashes: Set<UInt64> = []
    /// Low bits of a hash that must be zero for it to be held.
    private(set) var level = 0
    private var count = 0

    init(limit: Int) {
        self.limit = limit
    }

    /// Whether a text like this one was seen before, as far as that is known.
    mutating func add(_ hash: UInt64) -> Bool {
        count += 1
        guard isSampled(hash) else { return false }
        guard hashes.insert(hash).inserted else { return true }
        while hashes.count > limit {
            level += 1
            hashes = hashes.filter(isSampled)
        }
        return false
    }

    var isEstimate: Bool { level > 0 }

    var distinctCount: Int { min(count, hashes.count << level) }

    private func isSampled(_ hash: UInt64) -> Bool { hash & ((1 << UInt64(level)) - 1) == 0 }
}
