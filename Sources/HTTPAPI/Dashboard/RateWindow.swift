package import Embeddings

/// Rates over the last two seconds, from sums that are looked at now and then. Pure: time comes with each look.
package struct RateWindow {
    package struct Rates: Equatable {
        package var textsPerSecond = 0.0
        package var tokensPerSecond = 0.0
        /// Nil where no pass ended.
        package var textsPerPass: Double?
        package var tokensPerPass: Double?
        /// Real tokens over those of the rectangle.
        package var realShare: Double?

        package init() {}
    }

    /// Long enough for several passes of the largest size on one slow core, short enough to follow a change at once.
    package static let length = Duration.seconds(2)

    private var looks: [(moment: ContinuousClock.Instant, totals: BatchingTotals)] = []

    package init() {}

    /// The rates up to this look; zero for the first one.
    package mutating func rates(to totals: BatchingTotals, at moment: ContinuousClock.Instant) -> Rates {
        looks.append((moment, totals))
        // The first look that is kept lies at the window's edge or just outside of it.
        while looks.count > 2, looks[1].moment.duration(to: moment) >= Self.length { looks.removeFirst() }
        let first = looks[0]
        let seconds = first.moment.duration(to: moment) / .seconds(1)
        guard seconds > 0 else { return Rates() }
        let passes = totals.passCount - first.totals.passCount
        let texts = Double(totals.textCount - first.totals.textCount)
        let tokens = Double(totals.tokenCount - first.totals.tokenCount)
        let rectangle = Double(totals.rectangleTokenCount - first.totals.rectangleTokenCount)
        var rates = Rates()
        rates.textsPerSecond = texts / seconds
        rates.tokensPerSecond = tokens / seconds
        rates.textsPerPass = passes > 0 ? texts / Double(passes) : nil
        rates.tokensPerPass = passes > 0 ? tokens / Double(passes) : nil
        rates.realShare = rectangle > 0 ? tokens / rectangle : nil
        return rates
    }
}
