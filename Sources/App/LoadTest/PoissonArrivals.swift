import Foundation

/// Moments at which independent clients ask, so many a second on average: a Poisson process, the same for the same seed.
package struct PoissonArrivals: Sendable {
    private let rate: Double
    private var random: SeededRandom
    // A sum of many small steps; a double of seconds is good to a microsecond for a century.
    private var seconds: Double

    /// - Precondition: the rate, of arrivals a second, is above zero.
    package init(rate: Double, seed: UInt64) {
        precondition(rate > 0)
        self.rate = rate
        random = SeededRandom(seed: seed)
        seconds = 0
        advance()
    }

    /// The next arrival, since the beginning.
    package var next: Duration { .nanoseconds(Int64(seconds * 1e9)) }

    package mutating func advance() {
        seconds -= log(1 - random.unit()) / rate
    }
}
