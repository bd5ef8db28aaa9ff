import Foundation

/// When a request that was just admitted will be answered.
struct QueueForecast {
    /// From queued tokens over the measured rate alone.
    let plainWait: Duration
    /// The same as experience corrects it: what is told.
    let wait: Duration
}

/// Forecasts, and what became of them: passes are filled by length and not in order, threads share the cores with
/// whoever serves, and new work changes whose turn it is, so the plain figure is off by a factor that load decides. It is
/// learned from every request that waited.
struct QueueForecaster {
    /// Of the logarithm of answered wait over plain wait.
    private var bias = 0.0

    /// The bias is that of about the last twenty requests.
    private static let weight = 0.05
    /// A lone text's wait is that of its pass, and says nothing about queues.
    private static let shortest = Duration.milliseconds(20)

    func forecast(_ plainWait: Duration) -> QueueForecast {
        QueueForecast(plainWait: plainWait, wait: plainWait * exp(bias))
    }

    /// - Parameter wait: from admission to the answer.
    mutating func learn(_ forecast: QueueForecast, wait: Duration) {
        guard forecast.plainWait > Self.shortest, wait > .zero else { return }
        // A single odd one does not turn the forecast over.
        let error = min(max(log(wait / forecast.plainWait), -2), 2)
        bias += Self.weight * (error - bias)
    }
}
