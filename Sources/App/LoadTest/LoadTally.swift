/// What became of one kind's requests.
///
/// Rates count what was answered within the measured time; latencies and counts are those of the requests that were
/// wanted within it, whenever they were answered.
package struct LoadTally: Sendable {
    package struct Refusal: Sendable, Hashable {
        package let status: Int
        package let code: String

        package init(status: Int, code: String) {
            self.status = status
            self.code = code
        }

        /// All that came when there were `maximumRefusalCount` different ones already: a server may make up codes.
        package static let other = Refusal(status: 0, code: "other")
    }

    /// Different refusals that are told apart.
    package static let maximumRefusalCount = 64

    package struct RefusalFigures: Sendable, Equatable {
        package var count = 0
        /// With a whole `Retry-After` that clients' libraries heed.
        package var usableRetryAfterCount = 0
        /// Of `retry-after-ms`, else of `Retry-After`.
        package var leastPause: Duration?
        package var greatestPause: Duration?
    }

    /// One request's moments, since the beginning.
    package struct Moments: Sendable, Equatable {
        package let wanted: Duration
        package let sent: Duration
        package let ended: Duration

        package init(wanted: Duration, sent: Duration, ended: Duration) {
            self.wanted = wanted
            self.sent = sent
            self.ended = ended
        }
    }

    /// From the warm-up's end to the run's.
    package private(set) var window: Range<Duration>
    /// An answer that came later than that is no good; nil: any is.
    private let goodLatency: Duration?

    // Of requests wanted within the window.
    package private(set) var requestCount = 0
    package private(set) var answeredCount = 0
    package private(set) var refusals: [Refusal: RefusalFigures] = [:]
    package private(set) var errors: [String: Int] = [:]
    /// Wanted, but never sent: all connections were taken, or the run was cut short.
    package private(set) var unsentCount = 0
    /// From the moment a request was wanted.
    package private(set) var latency = LogHistogram()
    /// From the moment it was sent.
    package private(set) var uncorrectedLatency = LogHistogram()
    package private(set) var refusalLatency = LogHistogram()
    /// |promised − real| / real, in ten-thousandths.
    package private(set) var etaError = LogHistogram()
    package private(set) var greatestETAMilliseconds: Double?
    /// How much later than promised; 0 where it was not.
    package private(set) var etaExcess = LogHistogram()

    // Answered within the window.
    package private(set) var windowRequestCount = 0
    package private(set) var windowTextCount = 0
    package private(set) var windowGoodTextCount = 0
    /// As the server counts them; nil where an answer told none.
    package private(set) var windowTokenCount: Int? = 0

    package private(set) var timeline = LoadTimeline()

    package init(window: Range<Duration>, goodLatency: Duration? = nil) {
        self.window = window
        self.goodLatency = goodLatency
    }

    package mutating func answered(_ answer: LoadAnswer, _ moments: Moments, textCount: Int) {
        guard answer.isSuccess else { return refused(answer, moments) }
        let time = moments.ended - moments.wanted
        timeline.answered(at: moments.ended, textCount: textCount, latency: time)
        if window.contains(moments.ended) {
            windowRequestCount += 1
            windowTextCount += textCount
            if goodLatency.map({ time <= $0 }) ?? true { windowGoodTextCount += textCount }
            windowTokenCount = answer.tokenCount.flatMap { tokens in windowTokenCount.map { $0 + tokens } }
        }
        guard window.contains(moments.wanted) else { return }
        requestCount += 1
        answeredCount += 1
        latency.record(time)
        let service = moments.ended - moments.sent
        uncorrectedLatency.record(service)
        if let promised = answer.queueETAMilliseconds {
            let real = max(0.001, Double(milliseconds: service))
            etaError.record(UInt64(min(1e12, abs(promised - real) / real * 1e4)))
            greatestETAMilliseconds = max(greatestETAMilliseconds ?? promised, promised)
            etaExcess.record(UInt64(max(0, real - promised) * 1e6))
        }
    }

    private mutating func refused(_ answer: LoadAnswer, _ moments: Moments) {
        timeline.refused(at: moments.ended)
        guard window.contains(moments.wanted) else { return }
        requestCount += 1
        refusalLatency.record(moments.ended - moments.wanted)
        var refusal = Refusal(status: answer.status, code: answer.code)
        if refusals[refusal] == nil, refusals.count >= Self.maximumRefusalCount { refusal = .other }
        var figures = refusals[refusal] ?? RefusalFigures()
        figures.count += 1
        if let seconds = answer.retryAfterSeconds, LoadAnswer.usableRetryAfter.contains(seconds) {
            figures.usableRetryAfterCount += 1
        }
        if let pause = answer.pause {
            figures.leastPause = min(figures.leastPause ?? pause, pause)
            figures.greatestPause = max(figures.greatestPause ?? pause, pause)
        }
        refusals[refusal] = figures
    }

    /// A request that got no answer, or one that is none.
    package mutating func failed(_ error: String, wanted: Duration, ended: Duration) {
        timeline.failed(at: ended)
        guard window.contains(wanted) else { return }
        requestCount += 1
        errors[error, default: 0] += 1
    }

    /// A connection that could not be made, for no request in particular.
    package mutating func failedToConnect(_ error: String, at moment: Duration) {
        timeline.failed(at: moment)
        if window.contains(moment) { errors[error, default: 0] += 1 }
    }

    /// The run is over, at its end or before.
    package mutating func close(at moment: Duration, unsentCount: Int) {
        self.unsentCount = unsentCount
        if moment < window.upperBound { window = min(window.lowerBound, moment)..<moment }
    }

    package var refusedCount: Int { refusals.values.reduce(0) { $0 + $1.count } }
    package var errorCount: Int { errors.values.reduce(0, +) }

    var windowSeconds: Double { max(1e-9, Double(seconds: window.upperBound - window.lowerBound)) }
    package var textsPerSecond: Double { Double(windowTextCount) / windowSeconds }
    package var goodTextsPerSecond: Double { Double(windowGoodTextCount) / windowSeconds }
    package var requestsPerSecond: Double { Double(windowRequestCount) / windowSeconds }
    package var tokensPerSecond: Double? { windowTokenCount.map { Double($0) / windowSeconds } }
}
