import App
import NIOCore
import NIOHTTP1
import Testing

struct LoadTallyTests {
    private static func answer(
        _ status: HTTPResponseStatus = .ok, _ headers: [(String, String)] = [],
        _ body: String = #"{"usage":{"prompt_tokens":10}}"#
    ) -> LoadAnswer {
        LoadAnswer(
            head: HTTPResponseHead(version: .http1_1, status: status, headers: HTTPHeaders(headers)),
            body: ByteBuffer(string: body))
    }

    private static func moments(_ wanted: Int, _ sent: Int, _ ended: Int) -> LoadTally.Moments {
        LoadTally.Moments(wanted: .milliseconds(wanted), sent: .milliseconds(sent), ended: .milliseconds(ended))
    }

    private static func tally(goodLatency: Duration? = nil) -> LoadTally {
        LoadTally(window: .seconds(1)..<(.seconds(3)), goodLatency: goodLatency)
    }

    @Test func ratesCountWhatEndsInTheWindowAndLatenciesWhatBeginsThere() {
        var tally = Self.tally()
        tally.answered(Self.answer(), Self.moments(500, 500, 900), textCount: 4)
        tally.answered(Self.answer(), Self.moments(900, 900, 1_100), textCount: 4)
        tally.answered(Self.answer(), Self.moments(2_000, 2_000, 2_040), textCount: 4)
        tally.answered(Self.answer(), Self.moments(2_900, 2_900, 3_900), textCount: 4)
        #expect(tally.textsPerSecond == 4)
        #expect(tally.tokensPerSecond == 10)
        #expect(tally.requestCount == 2 && tally.answeredCount == 2)
        #expect(tally.latency.greatestMilliseconds == 1_000)
    }

    /// A server that answers each request in a millisecond, one at a time, and stops for a second once: of those wanted
    /// meanwhile a tenth of a second's worth waits longest. Taken from the sending, next to nothing of that is seen.
    @Test func aStallIsChargedForAllThatQueuedUpBehindIt() throws {
        var schedule = LoadSchedule(.open(rate: 200), end: .seconds(11), seed: 5)
        var tally = LoadTally(window: .seconds(1)..<(.seconds(11)))
        var now = Duration.zero
        var hasStalled = false
        loop: while true {
            switch schedule.next(now: now) {
            case .due:
                let wanted = schedule.depart(now: now)
                let sent = now
                let isStall = !hasStalled && now > .seconds(5)
                if isStall { hasStalled = true }
                now += isStall ? .seconds(1) : .milliseconds(1)
                tally.answered(
                    Self.answer(), LoadTally.Moments(wanted: wanted, sent: sent, ended: now), textCount: 1)
            case .wait(let moment): now = moment
            case .idle, .over: break loop
            }
        }
        #expect((1_800...2_200).contains(tally.requestCount))
        // About one request in ten was wanted within the stall.
        #expect(try #require(tally.latency.milliseconds(0.99)) > 700)
        #expect(try #require(tally.latency.milliseconds(0.5)) < 5)
        #expect(try #require(tally.uncorrectedLatency.milliseconds(0.99)) < 2)
        #expect(tally.uncorrectedLatency.greatestMilliseconds == 1_000)
    }

    @Test func refusalsAreToldByStatusAndCode() throws {
        var tally = Self.tally()
        let code = #"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#
        for milliseconds in [400, 1_800] {
            tally.answered(
                Self.answer(
                    .tooManyRequests, [("Retry-After", "2"), ("retry-after-ms", "\(milliseconds)")], code),
                Self.moments(1_500, 1_500, 1_501), textCount: 16)
        }
        tally.answered(
            Self.answer(.tooManyRequests, [("Retry-After", "121")], code), Self.moments(1_500, 1_500, 1_501),
            textCount: 1)
        tally.answered(Self.answer(.serviceUnavailable, [], "<html>"), Self.moments(1_500, 1_500, 1_501), textCount: 1)
        let figures = try #require(tally.refusals[.init(status: 429, code: "rate_limit_exceeded")])
        #expect(figures.count == 3 && figures.usableRetryAfterCount == 2)
        #expect(figures.leastPause == .milliseconds(400) && figures.greatestPause == .seconds(121))
        #expect(tally.refusals[.init(status: 503, code: "")]?.count == 1)
        #expect(tally.refusedCount == 4 && tally.answeredCount == 0 && tally.latency.count == 0)
        #expect(tally.refusalLatency.count == 4 && tally.textsPerSecond == 0)
    }

    @Test func madeUpCodesAreCountedTogether() {
        var tally = Self.tally()
        for number in 0..<1_000 {
            let code = #"{"error":{"code":"\#(number % 500)"}}"#
            tally.answered(Self.answer(.badRequest, [], code), Self.moments(1_500, 1_500, 1_501), textCount: 1)
        }
        #expect(tally.refusals.count == LoadTally.maximumRefusalCount + 1 && tally.refusedCount == 1_000)
        #expect(tally.refusals[.init(status: 400, code: "63")]?.count == 2)
        #expect(tally.refusals[.other]?.count == 2 * (500 - 64))
    }

    @Test func tokensBeyondAnyAnswersDoNotOverflow() {
        var tally = Self.tally()
        let answer = Self.answer(.ok, [], #"{"usage":{"prompt_tokens":9223372036854775807}}"#)
        for _ in 0..<3 { tally.answered(answer, Self.moments(1_500, 1_500, 1_600), textCount: 1) }
        #expect(tally.windowTokenCount == 3 * LoadAnswer.maximumTokenCount)
    }

    @Test func goodputGoesWithoutWhatCameTooLate() {
        var tally = Self.tally(goodLatency: .milliseconds(100))
        tally.answered(Self.answer(), Self.moments(1_500, 1_550, 1_600), textCount: 6)
        tally.answered(Self.answer(), Self.moments(1_500, 1_599, 1_601), textCount: 10)
        #expect(tally.textsPerSecond == 8 && tally.goodTextsPerSecond == 3)
    }

    @Test func aPromiseIsHeldAgainstWhatHappened() throws {
        var tally = Self.tally()
        // Promised 50 and 300 of 100 ms from the sending; what came before it is none of the server's.
        for promised in ["50", "300"] {
            tally.answered(
                Self.answer(.ok, [("X-Queue-Eta-Ms", promised)]), Self.moments(1_200, 1_500, 1_600), textCount: 1)
        }
        #expect(tally.etaError.count == 2)
        #expect(abs(try #require(tally.etaError.quantile(0.5)).distance(to: 5_000)) <= 40)
        #expect(abs(try #require(tally.etaError.quantile(1)).distance(to: 20_000)) <= 160)
        #expect(tally.etaExcess.greatestMilliseconds == 50)
    }

    @Test func tokensAreToldOnlyWhereEveryAnswerTellsThem() {
        var tally = Self.tally()
        tally.answered(Self.answer(), Self.moments(1_500, 1_500, 1_600), textCount: 1)
        #expect(tally.tokensPerSecond == 5)
        tally.answered(Self.answer(.ok, [], "{}"), Self.moments(1_500, 1_500, 1_600), textCount: 1)
        #expect(tally.tokensPerSecond == nil)
    }

    @Test func aRunCutShortIsMeasuredUpToThere() {
        var tally = Self.tally()
        tally.answered(Self.answer(), Self.moments(1_100, 1_100, 1_200), textCount: 10)
        tally.failed("lost", wanted: .milliseconds(1_300), ended: .milliseconds(1_400))
        tally.close(at: .milliseconds(1_500), unsentCount: 3)
        #expect(tally.textsPerSecond == 20)
        #expect(tally.errorCount == 1 && tally.unsentCount == 3 && tally.requestCount == 2)
    }

    @Test func theTimelineHoldsEverySecond() {
        var tally = Self.tally()
        tally.answered(Self.answer(), Self.moments(100, 100, 200), textCount: 2)
        tally.answered(Self.answer(.tooManyRequests), Self.moments(2_000, 2_000, 2_900), textCount: 2)
        tally.failed("lost", wanted: .milliseconds(2_000), ended: .milliseconds(2_900))
        let seconds = tally.timeline.seconds
        #expect(seconds.map(\.textCount) == [2, 0, 0])
        #expect(seconds.map(\.refusedCount) == [0, 0, 1] && seconds.map(\.failedCount) == [0, 0, 1])
    }
}
