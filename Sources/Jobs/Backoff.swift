/// How long to wait before a further try: doubles with every failure, and is drawn from its upper half, so that workers
/// that failed together do not come back together.
package struct Backoff: Sendable, Equatable {
    package let shortest: Duration
    package let longest: Duration

    package init(_ range: ClosedRange<Duration>) {
        shortest = range.lowerBound
        longest = range.upperBound
    }

    /// - Parameters:
    ///   - failures: from 1.
    ///   - jitter: from 0 to 1.
    package func delay(afterFailures failures: Int, jitter: Double) -> Duration {
        precondition(failures >= 1 && (0...1).contains(jitter))
        // 2^30 of the shortest sensible wait is years.
        let full = min(longest, shortest * (1 << min(failures - 1, 30)))
        return full * (0.5 + jitter / 2)
    }
}
