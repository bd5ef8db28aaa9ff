/// What the compute threads lately did.
struct Throughput {
    private var recentTokens: Double
    private var recentSeconds: Double = 1
    private let threadCount: Int

    /// What a pass's figures are worth when the next one is over: the rate is that of about the last twenty passes.
    private static let decay = 0.95

    init(threadCount: Int) {
        self.threadCount = threadCount
        // Before the first pass: 1,000 tokens a second and thread, a small fp32 model on an old core.
        recentTokens = 1000
    }

    /// Measured tokens a second, all compute threads together.
    var tokensPerSecond: Double { recentTokens / recentSeconds * Double(threadCount) }

    mutating func record(tokenCount: Int, duration: Duration) {
        let seconds = duration / .seconds(1)
        guard seconds > 0 else { return }
        recentTokens = Self.decay * recentTokens + Double(tokenCount)
        recentSeconds = Self.decay * recentSeconds + seconds
    }

    /// What so many tokens take.
    func time(for tokenCount: Int) -> Duration {
        .seconds(Double(tokenCount) / tokensPerSecond)
    }
}
