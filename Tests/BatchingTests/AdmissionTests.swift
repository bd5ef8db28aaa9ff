import Batching
import Embeddings
import Testing

struct AdmissionTests {
    @Test func queueTakesItsBudgetToTheToken() {
        for (second, isTaken) in [(59, true), (60, true), (61, false)] {
            var bench = SchedulerBench { $0.maximumQueuedTokens = 100 }
            bench.submit([40])
            let (_, action) = bench.submit([second])
            #expect((action.error == nil) == isTaken)
            #expect(bench.state.admittedTokenCount == 40 + (isTaken ? second : 0))
        }
    }

    @Test func idleServerTakesTheWholeBudgetInOneRequest() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 300 }
        #expect(bench.submit([100, 100, 100]).1.error == nil)
    }

    @Test func moreThanTheWholeBudgetIsTooLargeAlsoWhenTheQueueIsFull() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 300 }
        #expect(bench.submit([100, 100, 101]).1.error == .requestTooLarge(tokenCount: 301, limit: 300))
        bench.submit([100, 100, 100])
        #expect(bench.submit([100, 100, 101]).1.error == .requestTooLarge(tokenCount: 301, limit: 300))
        #expect(bench.submit([1]).1.retryAfter != nil)
    }

    @Test func refusedRequestTakesNothing() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 100 }
        bench.submit([90])
        bench.submit([5, 6])
        #expect(bench.state.waitingCount == 1)
        #expect(bench.state.admittedTokenCount == 90)
    }

    @Test func defaultBudgetHoldsTheLargestRequest() {
        var bench = SchedulerBench(limit: 512)
        #expect(bench.submit(Array(repeating: 512, count: 2048)).1.error == nil)
        #expect(bench.state.admittedTokenCount == 2048 * 512)
        #expect(BatchingConfiguration().queueBudget(sequenceLimit: 16) == 262_144)
    }

    @Test func finishedTextsMakeRoomBeforeTheirRequestIsAnswered() throws {
        var bench = SchedulerBench {
            $0.maximumQueuedTokens = 100
            $0.maximumBatchSequences = 1
        }
        bench.submit([50, 50])
        let pass = try bench.neededPass()
        #expect(bench.submit([50]).1.error != nil)
        bench.end(pass)
        #expect(bench.submit([50]).1.error == nil)
    }

    @Test func surelyRefusedRequestIsNotTokenized() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 1000 }
        bench.submit([250, 250, 250, 249])
        let request = EmbeddingRequest(inputs: [.text("one"), .text("two")])
        let action = bench.state.begin(request, id: RequestID(77), now: bench.now)
        #expect(action.inlineChunk == nil)
        #expect(action.retryAfter != nil)
        #expect(bench.state.nextChunk(thread: 0) == .park)
    }

    @Test func retryAfterFollowsTheMeasuredRate() throws {
        var bench = SchedulerBench {
            $0.maximumQueuedTokens = 25_600
            $0.maximumBatchSequences = 1
        }
        // 100 tokens a second, for long enough that nothing else is remembered.
        for _ in 0..<200 {
            bench.submit([200])
            let pass = try bench.neededPass()
            bench.advance(.seconds(2))
            bench.end(pass)
        }
        #expect((99.0...102.0).contains(bench.state.tokensPerSecond))
        bench.submit(Array(repeating: 256, count: 100))
        guard let soon = bench.submit([150]).1.retryAfter,
            let later = bench.submit(Array(repeating: 250, count: 4)).1.retryAfter,
            let latest = bench.submit(Array(repeating: 256, count: 99)).1.retryAfter
        else {
            Issue.record("a full queue took a request")
            return
        }
        // 150 and 1,000 tokens at just over 100 a second.
        #expect((1.4...1.6).contains(soon / .seconds(1)))
        #expect((9.5...10.1).contains(later / .seconds(1)))
        #expect(latest == .seconds(120))
    }

    @Test func textBeingTokenizedIsBounded() {
        var bench = SchedulerBench { $0.maximumTokenizingBytes = 100 }
        func begin(_ bytes: Int, _ id: UInt64, _ bench: inout SchedulerBench) -> EmbeddingError? {
            let text = String(repeating: "x", count: bytes)
            return bench.state.begin(EmbeddingRequest(inputs: [.text(text)]), id: RequestID(id), now: bench.now).error
        }
        // Alone, even one that is larger is taken.
        #expect(begin(200, 1, &bench) == nil)
        #expect(begin(1, 2, &bench) == .overloaded(retryAfter: .seconds(1)))
        _ = bench.state.cancel(RequestID(1))
        #expect(begin(60, 3, &bench) == nil)
        #expect(begin(40, 4, &bench) == nil)
        #expect(begin(1, 5, &bench) == .overloaded(retryAfter: .seconds(1)))
    }

    /// 16 requests of as many tokens as there will be room for in a second, refused in the same moment.
    @Test func whoAreRefusedTogetherComeBackOneAfterTheOther() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 1000 }
        bench.submit(Array(repeating: 200, count: 5))
        let waits = (0..<16).compactMap { _ in bench.submit([200, 200, 200, 200, 200]).1.retryAfter }
        #expect(waits.count == 16)
        for (earlier, later) in zip(waits, waits.dropFirst()) {
            // 1,000 tokens a second are assumed before anything is measured.
            #expect(((later - earlier) / .seconds(1) * 100).rounded() == 100)
        }
        // Who is refused when all of them might have come back waits no longer for them.
        bench.advance(.seconds(60))
        #expect(bench.submit([200]).1.retryAfter.map { $0 < .seconds(1) } == true)
    }
}
