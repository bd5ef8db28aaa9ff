import Batching
import Embeddings
import Testing

struct SchedulerStateTests {
    @Test func oldestSeedsAndNearestLengthsFill() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 4 }
        bench.submit([50])
        bench.submit([200])
        for length in [10, 49, 55, 51, 46] { bench.submit([length]) }
        #expect(bench.pass()?.lengths == [50, 49, 51, 46])
        #expect(bench.pass()?.lengths == [200])
        // The nearer of 55 and 10 to the seed 10 is itself: the widths are too far apart.
        #expect(bench.pass()?.lengths == [10])
        #expect(bench.pass()?.lengths == [55])
        #expect(bench.pass() == nil)
    }

    @Test func equalLengthsAreTakenInTheirOrder() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 3 }
        let ids = (0..<5).map { _ in bench.submit([30]).0 }
        #expect(bench.pass()?.entries.map(\.request) == Array(ids[0..<3]))
        #expect(bench.pass()?.entries.map(\.request) == Array(ids[3..<5]))
    }

    @Test func rectangleStaysWithinTheBudget() {
        var bench = SchedulerBench { $0.maximumBatchTokens = 100 }
        bench.submit([25, 25, 25, 25, 25])
        #expect(bench.pass()?.lengths == [25, 25, 25, 25])
        #expect(bench.pass()?.lengths == [25])
    }

    @Test func textLongerThanTheBudgetRunsAlone() {
        var bench = SchedulerBench { $0.maximumBatchTokens = 100 }
        bench.submit([256, 3])
        #expect(bench.pass()?.lengths == [256])
        #expect(bench.pass()?.lengths == [3])
    }

    @Test func paddingIsBounded() {
        var bench = SchedulerBench {
            $0.freePaddingTokens = 4
            $0.paddingShare = 0
        }
        bench.submit([10, 12, 14, 15])
        // 10, 12: 2 of padding; with 14: 6.
        #expect(bench.pass()?.lengths == [10, 12])
        #expect(bench.pass()?.lengths == [14, 15])
    }

    @Test func idleThreadsShareWhatWaits() {
        var bench = SchedulerBench {
            $0.computeThreadCount = 2
            $0.minimumShareTokens = 32
        }
        bench.submit(Array(repeating: 16, count: 8))
        #expect(bench.pass(thread: 0)?.sequenceCount == 4)
        #expect(bench.pass(thread: 1)?.sequenceCount == 4)
    }

    @Test func sharesAreNotSmallerThanIsWorthAPass() {
        var bench = SchedulerBench {
            $0.computeThreadCount = 4
            $0.minimumShareTokens = 64
        }
        bench.submit([16, 16, 16, 16])
        #expect(bench.pass()?.sequenceCount == 4)
    }

    @Test func interactiveWorkPassesBulkWork() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit([20, 20], lane: .bulk)
        bench.submit([20])
        #expect((0..<3).compactMap { _ in bench.pass()?.lane } == [.interactive, .bulk, .bulk])
    }

    @Test func bulkWorkKeepsItsShareWhileInteractiveWorkFloods() {
        var bench = SchedulerBench {
            $0.maximumBatchTokens = 20
            $0.bulkShare = 0.25
        }
        bench.submit(Array(repeating: 20, count: 3), lane: .bulk)
        bench.submit(Array(repeating: 20, count: 12))
        let lanes = (0..<12).compactMap { _ in bench.pass()?.lane }
        let turn: [Lane] = [.interactive, .interactive, .interactive, .bulk]
        #expect(lanes == turn + turn + turn)
    }

    @Test func bulkWorkFillsAnInteractivePassOnlyALittle() {
        var bench = SchedulerBench { $0.bulkFillTokens = 64 }
        bench.submit(Array(repeating: 16, count: 10), lane: .bulk)
        bench.submit([16, 16])
        let pass = bench.pass()
        #expect(pass?.entries.map(\.lane) == [.interactive, .interactive, .bulk, .bulk])
    }

    /// No longer than the machine takes 15 ms for, or an interlude.
    @Test func aSlowMachineFillsInteractivePassesLess() throws {
        var bench = SchedulerBench {
            $0.computeThreadCount = 1
            $0.bulkFillTime = .milliseconds(15)
        }
        func filled() throws -> Int {
            bench.submit([8])
            bench.submit(Array(repeating: 8, count: 64), lane: .bulk)
            let pass = try bench.neededPass()
            #expect(pass.entries[0].lane == .interactive)
            bench.end(pass)
            while let pass = bench.pass() {
                bench.advance(.seconds(pass.tokenCount) / 4_000)
                bench.end(pass)
            }
            return pass.tokenCount
        }
        // 1,000 tokens a second until something is known.
        #expect(try filled() == 32)
        for _ in 0..<10 { _ = try filled() }
        // 60 tokens at 4,000.
        #expect(try filled() == 56)
    }

    /// Who comes next waits no longer than 40 ms for them.
    @Test func interactivePassesOfASlowMachineAreShort() throws {
        var bench = SchedulerBench {
            $0.computeThreadCount = 1
            $0.interactivePassTime = .milliseconds(40)
        }
        func tokenCount() throws -> Int {
            bench.submit(Array(repeating: 8, count: 64))
            let first = try bench.neededPass()
            var next: Pass? = first
            while let pass = next {
                bench.advance(.seconds(pass.tokenCount) / 5_100)
                bench.end(pass)
                next = bench.pass()
            }
            return first.tokenCount
        }
        // 1,000 tokens a second until something is known: the least.
        #expect(try tokenCount() == 64)
        for _ in 0..<40 { _ = try tokenCount() }
        #expect(try tokenCount() == 200)
        // Bulk work has whole passes.
        bench.submit(Array(repeating: 8, count: 80), lane: .bulk)
        #expect(try bench.neededPass().tokenCount == 512)
    }

    @Test func answersComeInTheOrderOfTheInputsWhenTheLastIsDone() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        let (id, _) = bench.submit([40, 10, 25])
        let passes = [bench.pass(), bench.pass(), bench.pass()].compactMap { $0 }
        #expect(passes.map(\.tokenCount) == [40, 10, 25])
        #expect(bench.end(passes[2]).answers.isEmpty)
        #expect(bench.end(passes[0]).answers.isEmpty)
        let answers = bench.end(passes[1]).answers
        #expect(answers.map(\.request) == [id])
        guard case .success(let report) = answers.first?.result else {
            Issue.record("no answer")
            return
        }
        let embeddings = report.results.compactMap { try? $0.get() }
        #expect(embeddings.map(\.tokenCount) == [40, 10, 25])
        #expect(embeddings.map(\.vector.values) == [[40, 1], [10, 2], [25, 3]])
    }

    @Test func cancelledRequestLeavesItsBucketsAndItsBudget() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 2 }
        let (first, _) = bench.submit([30, 30, 30])
        bench.submit([31])
        let running = bench.pass()
        let cancelled = bench.state.cancel(first)
        #expect(cancelled.answers == [.init(request: first, result: .failure(.cancelled))])
        #expect(bench.state.waitingCount == 1)
        #expect(bench.state.admittedTokenCount == 31)
        #expect(bench.pass()?.lengths == [31])
        guard let running else { return }
        let ended = bench.end(running)
        #expect(ended.answers.isEmpty)
        #expect(ended.events.contains(.discarded(sequenceCount: 2)))
        #expect(bench.state.cancel(first) == bench.state.cancel(RequestID(99)))
    }

    @Test func vectorThatIsNotFiniteFailsOnlyItsRequest() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 2 }
        let (bad, _) = bench.submit([20])
        let (good, _) = bench.submit([20])
        guard let pass = bench.pass() else { return }
        let action = bench.state.passEnded(
            pass, vectors: [nil, SchedulerBench.vector(of: pass.entries[1])], now: bench.now)
        #expect(action.answers.first == .init(request: bad, result: .failure(.vectorNotFinite(index: 0))))
        #expect(action.answers.last?.request == good)
        #expect(action.answers.count == 2)
        #expect(bench.state.admittedTokenCount == 0)
    }

    @Test func parkedThreadsAreWokenForNewWork() {
        var bench = SchedulerBench { $0.computeThreadCount = 3 }
        for thread in 0..<3 { #expect(bench.state.nextPass(thread: thread, now: bench.now) == .park(until: nil)) }
        #expect(bench.submit([20]).1.computeWakes == [2])
        #expect(bench.submit([20, 20, 20]).1.computeWakes == [0, 1])
        #expect(bench.submit([20]).1.computeWakes == [])
    }

    @Test func batchesOfFirstComeFirstServedWaitToBeFull() {
        var bench = SchedulerBench {
            $0.mode = .firstComeFirstServed(batchSize: 3, wait: .milliseconds(10))
        }
        let due = bench.now.advanced(by: .milliseconds(10))
        bench.submit([200])
        bench.submit([5], lane: .bulk)
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .park(until: due))
        #expect(bench.submit([90, 4]).1.computeWakes == [0])
        #expect(bench.pass()?.lengths == [200, 5, 90])
        bench.advance(.milliseconds(9))
        #expect(bench.pass() == nil)
        bench.advance(.milliseconds(1))
        #expect(bench.pass()?.lengths == [4])
    }

    @Test func shutdownRefusesNewWorkAndFinishesTheRest() {
        var bench = SchedulerBench()
        bench.submit([20])
        #expect(!bench.state.beginShutdown().isDrained)
        let (late, refusal) = bench.submit([20])
        #expect(refusal.answers == [.init(request: late, result: .failure(.shuttingDown))])
        guard let pass = bench.pass() else {
            Issue.record("nothing to finish")
            return
        }
        let ended = bench.end(pass)
        #expect(ended.answers.count == 1)
        #expect(ended.isDrained)
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .park(until: nil))
        #expect(bench.state.stop().computeWakes == [0])
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .exit)
        #expect(bench.state.nextChunk(thread: 0) == .exit)
    }

    @Test func stopAnswersWhatIsLeft() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        let (waiting, _) = bench.submit([20, 20])
        let running = bench.pass()
        let tokenizing = RequestID(50)
        _ = bench.state.begin(EmbeddingRequest(inputs: [.text("x")]), id: tokenizing, now: bench.now)
        _ = bench.state.beginShutdown()
        let action = bench.state.stop()
        #expect(action.answers.map(\.request) == [waiting, tokenizing])
        #expect(action.answers.allSatisfy { $0.result == .failure(.shuttingDown) })
        if let running { #expect(bench.end(running).isDrained) }
        #expect(bench.state.admittedTokenCount == 0)
    }

    @Test func idleShutdownIsDrainedAtOnce() {
        var bench = SchedulerBench()
        #expect(bench.state.beginShutdown().isDrained)
    }
}
