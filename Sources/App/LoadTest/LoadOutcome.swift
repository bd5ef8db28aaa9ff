/// What one run measured.
package struct LoadOutcome: Sendable {
    package enum End: String, Sendable {
        case duration
        case interrupted
        /// As many requests were sent as there may be.
        case requests
    }

    package struct Lane: Sendable {
        package let kind: ClientKind
        package let tally: LoadTally

        package init(kind: ClientKind, tally: LoadTally) {
            self.kind = kind
            self.tally = tally
        }
    }

    package let end: End
    package let lanes: [Lane]
    /// When the first request was wanted, in seconds since 1970, for whoever lays other measurements beside it.
    package let beganAt: Double
    /// Processor time of the generator while it measured.
    package let processorTime: Duration
    /// Under way when the run was interrupted; counted nowhere.
    package let abandonedCount: Int

    package init(end: End, lanes: [Lane], beganAt: Double, processorTime: Duration, abandonedCount: Int) {
        self.end = end
        self.lanes = lanes
        self.beganAt = beganAt
        self.processorTime = processorTime
        self.abandonedCount = abandonedCount
    }

    /// Measured seconds.
    package var seconds: Double { lanes.first?.tally.windowSeconds ?? 0 }
    package var textsPerSecond: Double { lanes.reduce(0) { $0 + $1.tally.textsPerSecond } }
    package var requestsPerSecond: Double { lanes.reduce(0) { $0 + $1.tally.requestsPerSecond } }
    /// Nil where an answer told no tokens.
    package var tokensPerSecond: Double? {
        lanes.reduce(0) { sum, lane in
            sum.flatMap { sum in lane.tally.tokensPerSecond.map { sum + $0 } }
        }
    }
    package var requestCount: Int { lanes.reduce(0) { $0 + $1.tally.requestCount } }
}
