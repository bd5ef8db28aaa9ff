import Embeddings
import HTTPAPI
import Testing

struct RateWindowTests {
    private let start = ContinuousClock.now

    private func totals(passes: Int, texts: Int, tokens: Int, rectangle: Int) -> BatchingTotals {
        var totals = BatchingTotals()
        totals.passCount = passes
        totals.textCount = texts
        totals.tokenCount = tokens
        totals.rectangleTokenCount = rectangle
        return totals
    }

    @Test func whatAWatcherDidNotSeeIsNoRate() {
        var window = RateWindow()
        let first = window.rates(to: totals(passes: 9, texts: 900, tokens: 9_000, rectangle: 9_900), at: start)
        #expect(first == RateWindow.Rates())
    }

    @Test func ratesAreThoseOfTheLastTwoSeconds() {
        var window = RateWindow()
        // Ten passes of three texts each quarter of a second, and then none.
        for look in 0...16 {
            let passes = 10 * min(look, 8)
            let rates = window.rates(
                to: totals(passes: passes, texts: 3 * passes, tokens: 60 * passes, rectangle: 80 * passes),
                at: start + .milliseconds(250 * look))
            switch look {
            case 1...8:
                #expect(rates.textsPerSecond == 120 && rates.tokensPerSecond == 2_400)
                #expect(rates.textsPerPass == 3 && rates.tokensPerPass == 60 && rates.realShare == 0.75)
            case 12: #expect(rates.textsPerSecond == 60 && rates.textsPerPass == 3)
            case 16: #expect(rates == RateWindow.Rates())
            default: break
            }
        }
    }
}
