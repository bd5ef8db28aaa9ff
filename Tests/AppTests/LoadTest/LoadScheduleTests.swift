import App
import Testing

struct PoissonArrivalsTests {
    private static func arrivals(_ count: Int, rate: Double, seed: UInt64) -> [Duration] {
        var arrivals = PoissonArrivals(rate: rate, seed: seed)
        return (0..<count).map { _ in
            defer { arrivals.advance() }
            return arrivals.next
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    @Test func theSameSeedGivesTheSameArrivals() {
        #expect(Self.arrivals(100, rate: 5, seed: 3) == Self.arrivals(100, rate: 5, seed: 3))
        #expect(Self.arrivals(100, rate: 5, seed: 3) != Self.arrivals(100, rate: 5, seed: 4))
    }

    /// Gaps of a Poisson process are exponential: their deviation is their mean, and 1/e of them are longer than it.
    @Test(arguments: [0.5, 40, 10_000])
    func gapsAreExponentialWithTheRatesMean(rate: Double) {
        let count = 20_000
        let moments = [Duration.zero] + Self.arrivals(count, rate: rate, seed: 11)
        let gaps = zip(moments.dropFirst(), moments).map { Self.seconds($0 - $1) }
        #expect(gaps.allSatisfy { $0 >= 0 })
        let mean = gaps.reduce(0, +) / Double(count)
        let deviation = (gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot()
        #expect(abs(mean * rate - 1) < 0.03)
        #expect(abs(deviation / mean - 1) < 0.04)
        #expect(abs(Double(gaps.count { $0 > mean }) / Double(count) - 0.3679) < 0.015)
    }
}

struct LoadScheduleTests {
    private static func milliseconds(_ number: Int) -> Duration { .milliseconds(number) }

    @Test func aClosedLoopsUsersAskAgainWhenTheyAreAnswered() {
        var schedule = LoadSchedule(.closed(users: 2), end: .seconds(1), seed: 1)
        for _ in 0..<2 {
            #expect(schedule.next(now: .zero) == .due)
            #expect(schedule.depart(now: .zero) == .zero)
        }
        #expect(schedule.next(now: .milliseconds(1)) == .idle)
        schedule.requestEnded(now: .milliseconds(30))
        #expect(schedule.next(now: .milliseconds(35)) == .due)
        // The user wanted it when the answer was there, not when there was a connection.
        #expect(schedule.depart(now: .milliseconds(35)) == .milliseconds(30))
        #expect(schedule.next(now: .milliseconds(36)) == .idle)
    }

    @Test func aPausedUserWaits() {
        var schedule = LoadSchedule(.closed(users: 1), end: .seconds(1), seed: 1)
        _ = schedule.depart(now: .zero)
        schedule.requestEnded(now: .milliseconds(10), pause: .milliseconds(500))
        #expect(schedule.next(now: .milliseconds(20)) == .wait(until: .milliseconds(510)))
        #expect(schedule.next(now: .milliseconds(510)) == .due)
        _ = schedule.depart(now: .milliseconds(510))
        schedule.requestEnded(now: .milliseconds(520), pause: .seconds(1))
        #expect(schedule.next(now: .milliseconds(521)) == .over)
    }

    @Test func nothingIsDueAfterTheEnd() {
        var closed = LoadSchedule(.closed(users: 3), end: .seconds(1), seed: 1)
        #expect(closed.next(now: .seconds(1)) == .over)
        #expect(closed.close(now: .seconds(1)) == 0)
        var open = LoadSchedule(.open(rate: 1_000), end: .milliseconds(100), seed: 1)
        var count = 0
        while open.next(now: .milliseconds(100)) == .due {
            #expect(open.depart(now: .milliseconds(100)) < .milliseconds(100))
            count += 1
        }
        #expect(open.next(now: .milliseconds(100)) == .over)
        #expect((60...140).contains(count))
        #expect(open.close(now: .milliseconds(100)) == 0)
    }

    @Test func anArrivalKeepsItsMomentHoweverLateItDeparts() {
        var arrivals = PoissonArrivals(rate: 100, seed: 9)
        var schedule = LoadSchedule(.open(rate: 100), end: .seconds(10), seed: 9)
        #expect(schedule.next(now: .zero) == .wait(until: arrivals.next))
        for _ in 0..<50 {
            #expect(schedule.depart(now: .seconds(5)) == arrivals.next)
            arrivals.advance()
        }
        // An open loop does not ask whether anybody was answered.
        #expect(schedule.next(now: .seconds(5)) == .due)
    }

    @Test func whatNeverDepartedIsCounted() {
        var schedule = LoadSchedule(.open(rate: 1_000), end: .seconds(10), seed: 2)
        var arrivals = PoissonArrivals(rate: 1_000, seed: 2)
        var count = 0
        while arrivals.next < .seconds(2) {
            count += 1
            arrivals.advance()
        }
        for _ in 0..<10 { _ = schedule.depart(now: .seconds(1)) }
        #expect(schedule.close(now: .seconds(2)) == count - 10)
        #expect(schedule.next(now: .seconds(2)) == .over)
    }
}
