import Foundation

/// When a request that was just admitted will be answered.
struct QueueForecast {
    /// What is to be computed until then, as the queue stands.
    let tokensAhead: Int
    /// What had been computed when it was made.
    let completedTokens: Int
    /// From then to the answer: what is told.
    let wait: Duration

    /// The same of a request that waits, too, for texts of others until then.
    func waiting(atLeast others: Duration) -> QueueForecast {
        // Of what it brings itself nothing can be learned then.
        others > wait ? QueueForecast(tokensAhead: 0, completedTokens: completedTokens, wait: others) : self
    }
}

/// Forecasts, and what became of them: passes are filled by length and not in order, and new work changes whose turn it
/// is, so more or less is computed before a request's answer than stood before it. By how much is learned from every
/// request that waited, in tokens: how fast they are computed is another matter.
struct QueueForecaster {
    /// Of the logarithm of tokens computed over tokens ahead.
    private var bias = 0.0

    /// The bias is that of about the last twenty requests.
    private static let weight = 0.05
    /// A lone text's wait is that of its pass, and says nothing about queues.
    private static let shortest = Duration.milliseconds(20)

    func forecast(_ tokensAhead: Int, by throughput: Throughput) -> QueueForecast {
        QueueForecast(
            tokensAhead: tokensAhead, completedTokens: throughput.completedTokens,
            wait: throughput.time(for: Int(Double(tokensAhead) * exp(bias))))
    }

    /// The request that it was made for has its answer.
    mutating func learn(_ forecast: QueueForecast, completedTokens: Int) {
        let computed = completedTokens - forecast.completedTokens
        guard forecast.wait > Self.shortest, forecast.tokensAhead > 0, computed > 0 else { return }
        // A single odd one does not turn the forecast over.
        let error = min(max(log(Double(computed) / Double(forecast.tokensAhead)), -2), 2)
        bias += Self.weight * (error - bias)
    }
}
