import Foundation

/// What the compute threads did, lately and for longer. A machine that others use too changes its speed by the second: the
/// next moment will be like the last one, and a longer wait will see the mean.
struct Throughput {
    private var recent = DecayingRate(horizon: 1)
    private var lasting = DecayingRate(horizon: 30)
    /// Tokens of all passes that have ended.
    private(set) var completedTokens = 0
    private let threadCount: Int

    /// How long the speed of this moment says something, in seconds.
    private static let persistence = 2.0

    init(threadCount: Int) {
        self.threadCount = threadCount
    }

    /// Measured tokens a second of late, all compute threads together.
    var tokensPerSecond: Double { recent.tokensPerSecond * Double(threadCount) }

    mutating func record(tokenCount: Int, duration: Duration) {
        let seconds = duration / .seconds(1)
        completedTokens += tokenCount
        guard seconds > 0 else { return }
        recent.record(tokenCount: tokenCount, seconds: seconds)
        lasting.record(tokenCount: tokenCount, seconds: seconds)
    }

    /// What so many tokens take from now on.
    func time(for tokenCount: Int) -> Duration {
        let work = Double(tokenCount) / Double(threadCount)
        let seconds = work / recent.tokensPerSecond
        let share = Self.persistence / (Self.persistence + seconds)
        return .seconds(work / (share * recent.tokensPerSecond + (1 - share) * lasting.tokensPerSecond))
    }
}

/// Tokens a second of one thread.
private struct DecayingRate {
    /// Seconds of computing after which a pass counts for 1/e.
    let horizon: Double
    // Before the first pass: 1,000 tokens a second, a small fp32 model on an old core. Soon forgotten.
    private var tokens = 100.0
    private var seconds = 0.1

    init(horizon: Double) {
        self.horizon = horizon
    }

    var tokensPerSecond: Double { tokens / seconds }

    mutating func record(tokenCount: Int, seconds passSeconds: Double) {
        let decay = exp(-passSeconds / horizon)
        tokens = decay * tokens + Double(tokenCount)
        seconds = decay * seconds + passSeconds
    }
}
