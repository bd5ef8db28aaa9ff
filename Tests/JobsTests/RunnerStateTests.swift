import Embeddings
import Jobs
import Testing

struct RunnerStateTests {
    private let start = ContinuousClock.now
    private let lease = SegmentLease(segment: 1, token: 7)

    private func segment(attempt: Int = 1) -> LeasedSegment {
        LeasedSegment(lease: lease, job: .random(), collection: nil, attempt: attempt, inputCount: 2)
    }

    private func at(_ seconds: Double) -> ContinuousClock.Instant {
        start.advanced(by: .milliseconds(Int((seconds * 1_000).rounded())))
    }

    @Test func workGoesOnWithoutAPauseWhileThereIsSome() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        #expect(state.claimStep(now: start) == .gatherAndClaim)
        // One tries for all.
        #expect(state.claimStep(now: start) == .wait(until: nil))
        state.claimed([lease], jitter: 0, now: start)
        #expect(state.claimStep(now: start) == .claim)
        #expect(state.claimStep(now: at(1)) == .gatherAndClaim)
    }

    @Test func anEmptyQueueClosesTheDoorForAboutAPollInterval() {
        for (jitter, wait) in [(0.0, 0.75), (1.0, 1.25)] {
            var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
            _ = state.claimStep(now: start)
            state.claimed([], jitter: jitter, now: start)
            #expect(state.claimStep(now: at(0.5)) == .wait(until: at(wait)))
            #expect(state.claimStep(now: at(1.25)) == .gatherAndClaim)
        }
    }

    @Test func theBellOpensTheDoorButNotThatOfABrokenDatabase() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        _ = state.claimStep(now: start)
        // Rung while the claim was under way: what it announced may have been missed.
        state.rang()
        state.claimed([], jitter: 1, now: start)
        #expect(state.claimStep(now: at(0.01)) == .gatherAndClaim)
        let first = state.claimFailed(jitter: 1, now: at(0.01))
        state.rang()
        #expect(state.claimStep(now: at(0.02)) == .wait(until: at(0.11)))
        #expect(state.claimStep(now: at(0.11)) == .gatherAndClaim)
        let second = state.claimFailed(jitter: 1, now: at(0.11))
        #expect(first && !second)
    }

    @Test func aFailingDatabaseIsAskedEverMoreRarely() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        var now = start
        var waits: [Duration] = []
        for _ in 0..<9 {
            _ = state.claimStep(now: now)
            _ = state.claimFailed(jitter: 1, now: now)
            guard case .wait(.some(let moment)) = state.claimStep(now: now) else {
                Issue.record("nothing is waited for")
                return
            }
            waits.append(now.duration(to: moment))
            now = moment
        }
        #expect(waits.map { $0 / .milliseconds(100) } == [1, 2, 4, 8, 16, 32, 50, 50, 50])
    }

    @Test func heartbeatsComeThreeTimesALeaseAndFailedOnesSooner() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        state.claimed([lease], jitter: 0, now: start)
        #expect(state.heartbeatStep(now: start) == .extend([lease]))
        #expect(state.extended(lost: [], now: start) == [])
        #expect(state.heartbeatStep(now: at(9)) == .wait(until: at(10)))
        #expect(state.heartbeatStep(now: at(10)) == .extend([lease]))
        state.extensionFailed(jitter: 1, now: at(11))
        #expect(state.heartbeatStep(now: at(11)) == .wait(until: at(11.1)))
        #expect(state.heartbeatStep(now: at(11.1)) == .extend([lease]))
    }

    @Test func aLostLeaseIsNotProlongedAndItsErrorsEndIt() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        state.claimed([lease], jitter: 0, now: start)
        #expect(state.extended(lost: [lease, SegmentLease(segment: 9, token: 9)], now: start) == [lease])
        #expect(state.heartbeatStep(now: at(10)) == .wait(until: at(20)))
        #expect(
            state.errorStep(.unavailable(details: ""), on: segment(), failures: 1, jitter: 0) == .giveUp)
        #expect(state.ended(lease) == .lost)
        #expect(state.ended(lease) == .held)
    }

    @Test func onlyAFaultOfOursIsAnAttempt() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        state.claimed([lease], jitter: 0, now: start)
        for error: StorageError in [.unavailable(details: ""), .notWritable(details: "")] {
            #expect(
                state.errorStep(error, on: segment(attempt: 3), failures: 40, jitter: 1)
                    == .retry(after: .seconds(5)))
        }
        let fault = StorageError.internalFailure(details: "")
        #expect(state.errorStep(fault, on: segment(attempt: 2), failures: 1, jitter: 1) == .postpone(.seconds(2)))
        #expect(state.errorStep(fault, on: segment(attempt: 3), failures: 1, jitter: 1) == .abandon)
        #expect(state.stop() == [lease])
        #expect(state.errorStep(fault, on: segment(), failures: 1, jitter: 1) == .giveUp)
    }

    @Test func rescuesNeedAWholeLeaseOfUnbrokenContact() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        func rescues(at seconds: Double) -> Bool {
            if case .rescue = state.rescueStep(jitter: 0, now: at(seconds)) { true } else { false }
        }
        for second in 0...30 {
            #expect(!rescues(at: Double(second)))
            state.claimed([], jitter: 0, now: at(Double(second)))
        }
        #expect(rescues(at: 34))
        state.rescued(now: at(34))
        // A claim that failed: others may have gone unheard, too.
        _ = state.claimFailed(jitter: 0, now: at(35))
        for second in 36...65 {
            state.claimed([], jitter: 0, now: at(Double(second)))
            #expect(!rescues(at: Double(second)))
        }
        state.claimed([], jitter: 0, now: at(66))
        #expect(rescues(at: 70))
    }

    @Test func aProcessThatStoodStillHasNotBeenInContact() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        for second in 0...40 { state.claimed([], jitter: 0, now: at(Double(second))) }
        // Stopped, and continued after a minute: nothing is known of the minute.
        #expect(state.rescueStep(jitter: 0, now: at(100)) == .wait(until: at(103.75)))
        state.claimed([], jitter: 0, now: at(100))
        for second in 101...129 { state.claimed([], jitter: 0, now: at(Double(second))) }
        if case .rescue = state.rescueStep(jitter: 0, now: at(129)) { Issue.record("rescued too soon") }
        state.claimed([], jitter: 0, now: at(133))
        guard case .rescue = state.rescueStep(jitter: 0, now: at(133)) else {
            Issue.record("never rescues")
            return
        }
    }

    @Test func stoppingStopsEveryLoop() {
        var state = RunnerState(configuration: JobRunnerConfiguration(), now: start)
        _ = state.stop()
        #expect(state.claimStep(now: start) == .stop)
        #expect(state.heartbeatStep(now: start) == .stop)
        #expect(state.rescueStep(jitter: 0, now: start) == .stop)
    }

    @Test func aPollIsNoRarerThanAHeartbeat() {
        var configuration = JobRunnerConfiguration()
        configuration.pollInterval = .seconds(3_600)
        #expect(configuration.effectivePollInterval == .seconds(10))
    }
}

struct BackoffTests {
    @Test func delaysDoubleWithinTheirBounds() {
        let backoff = Backoff(.seconds(1)...(.seconds(60)))
        for failures in 1...100 {
            let full = Duration.seconds(min(60, 1 << min(failures - 1, 10)))
            #expect(backoff.delay(afterFailures: failures, jitter: 0) == full / 2)
            #expect(backoff.delay(afterFailures: failures, jitter: 1) == full)
            let drawn = backoff.delay(afterFailures: failures, jitter: Double.random(in: 0...1))
            #expect(drawn >= full / 2 && drawn <= full)
        }
    }
}
