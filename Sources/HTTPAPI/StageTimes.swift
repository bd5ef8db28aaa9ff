import Embeddings
import Synchronization

/// Where one request's time went, and what the queue promised it; the calls to the embedder and to the store add to it.
///
/// Bound to the request's task: the store is asked in many places, which have no business with headers.
final class StageTimes: Sendable {
    @TaskLocal static var current: StageTimes?

    private struct Sums {
        var embedding: EmbeddingTiming?
        var store: Duration?
        var promisedWait: Duration?
    }

    /// A Mutex: sums, never held across an await.
    private let sums = Mutex(Sums())

    func add(_ report: EmbeddingReport) {
        sums.withLock { sums in
            var timing = sums.embedding ?? EmbeddingTiming()
            timing.queue += report.timing.queue
            timing.tokenize += report.timing.tokenize
            timing.compute += report.timing.compute
            sums.embedding = timing
            if let wait = report.promisedWait { sums.promisedWait = (sums.promisedWait ?? .zero) + wait }
        }
    }

    func addStore(_ duration: Duration) {
        sums.withLock { $0.store = ($0.store ?? .zero) + duration }
    }

    /// The value of `X-Queue-Eta-Ms`: of all of the request's calls to the embedder together; nil where none was promised
    /// anything.
    var queueETA: String? {
        sums.withLock { $0.promisedWait }.map { "\(max(0, $0.wholeMilliseconds))" }
    }

    /// The value of `Server-Timing`, in milliseconds; nil where there was neither a call to the embedder nor one to the
    /// store.
    var serverTiming: String? {
        let sums = sums.withLock { $0 }
        var parts: [String] = []
        if let timing = sums.embedding {
            parts.append("queue;dur=\(timing.queue.decimalMilliseconds)")
            parts.append("tokenize;dur=\(timing.tokenize.decimalMilliseconds)")
            parts.append("compute;dur=\(timing.compute.decimalMilliseconds)")
        }
        if let store = sums.store { parts.append("store;dur=\(store.decimalMilliseconds)") }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}

extension Duration {
    /// With three digits behind the point.
    fileprivate var decimalMilliseconds: String {
        let microseconds = max(0, components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000)
        let digits = String(rest)
        return "\(whole)." + String(repeating: "0", count: 3 - digits.count) + digits
    }
}
