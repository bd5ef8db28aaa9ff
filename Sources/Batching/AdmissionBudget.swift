import Embeddings

/// Counts the tokens of admitted and unfinished inputs, and knows how long a full queue takes to make room.
struct AdmissionBudget {
    let limit: Int
    private(set) var usedTokens = 0
    private var recentTokens: Double
    private var recentSeconds: Double = 1
    private let threadCount: Int

    /// What a pass's figures are worth when the next one is over: the rate is that of about the last twenty passes.
    private static let decay = 0.95

    init(limit: Int, threadCount: Int) {
        self.limit = limit
        self.threadCount = threadCount
        // Before the first pass: 1,000 tokens a second and thread, a small fp32 model on an old core.
        recentTokens = 1000
    }

    /// Measured tokens a second, all compute threads together.
    var tokensPerSecond: Double { recentTokens / recentSeconds * Double(threadCount) }

    /// Takes the tokens, or says why not; then nothing has changed.
    mutating func take(_ tokenCount: Int) -> EmbeddingError? {
        if tokenCount > limit { return .requestTooLarge(tokenCount: tokenCount, limit: limit) }
        if let refusal = refusal(forAtLeast: tokenCount, probably: tokenCount) { return refusal }
        usedTokens += tokenCount
        return nil
    }

    /// Why a request of at least so many tokens finds no room now; nil where it may find some. When to come back is
    /// told from the probable number.
    func refusal(forAtLeast tokenCount: Int, probably probableCount: Int) -> EmbeddingError? {
        guard usedTokens + tokenCount > limit else { return nil }
        return .overloaded(retryAfter: timeToFree(usedTokens + max(tokenCount, probableCount) - limit))
    }

    /// - Precondition: so many were taken.
    mutating func giveBack(_ tokenCount: Int) {
        precondition(tokenCount <= usedTokens)
        usedTokens -= tokenCount
    }

    mutating func record(tokenCount: Int, duration: Duration) {
        let seconds = duration / .seconds(1)
        guard seconds > 0 else { return }
        recentTokens = Self.decay * recentTokens + Double(tokenCount)
        recentSeconds = Self.decay * recentSeconds + seconds
    }

    /// Whole seconds, 1 to 120: shorter invites a storm of retries, longer outlives most callers' patience.
    func timeToFree(_ tokenCount: Int) -> Duration {
        .seconds(min(120, max(1, (Double(tokenCount) / tokensPerSecond).rounded(.up))))
    }
}
