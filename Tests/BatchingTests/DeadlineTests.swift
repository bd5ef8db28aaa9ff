import Batching
import Embeddings
import Testing

/// What the queue foretells, and what becomes of those who cannot wait so long.
struct DeadlineTests {
    /// A bench that did 1,000 tokens a second for long enough that nothing else is remembered.
    private func makeBench() -> SchedulerBench {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        for _ in 0..<200 {
            bench.submit([100])
            guard let pass = bench.pass() else { break }
            bench.advance(.milliseconds(100))
            bench.end(pass)
        }
        return bench
    }

    private func seconds(_ duration: Duration?) -> Double { (duration ?? .zero) / .seconds(1) }

    @Test func whatCannotMakeItIsRefusedAtOnce() {
        var bench = makeBench()
        bench.submit(Array(repeating: 200, count: 10))
        let (_, late) = bench.submit(
            texts: [bench.text(ofLength: 100)], deadline: bench.now.advanced(by: .seconds(1)))
        guard case .deadlineUnreachable(let wait) = late.error else {
            Issue.record("taken though it could not be done in time")
            return
        }
        #expect((1.0...1.2).contains(seconds(wait)))
        #expect(
            bench.submit(texts: [bench.text(ofLength: 100)], deadline: bench.now.advanced(by: .seconds(3))).1.answers
                .isEmpty)
        let (_, past) = bench.submit(texts: [bench.text(ofLength: 1)], deadline: bench.now)
        #expect(past.error == .deadlineExceeded)
    }

    @Test func anIdleServerTriesWhatItsForecastDoubts() {
        // Before the first pass, 1,000 tokens a second are assumed.
        var bench = SchedulerBench()
        let texts = (0..<16).map { _ in bench.text(ofLength: 128) }
        #expect(bench.submit(texts: texts, deadline: bench.now.advanced(by: .seconds(1))).1.answers.isEmpty)
    }

    @Test func whatRanOutOfTimeLeavesTheQueue() {
        var bench = makeBench()
        let (id, _) = bench.submit(
            texts: [bench.text(ofLength: 100)], deadline: bench.now.advanced(by: .seconds(1)))
        #expect(bench.state.expire(id).error == .deadlineExceeded)
        #expect(bench.pass() == nil)
        #expect(bench.state.admittedTokenCount == 0)
        #expect(bench.state.expire(id).answers.isEmpty)
    }

    @Test func theQueueSaysHowLongItTakes() throws {
        var bench = makeBench()
        let (id, _) = bench.submit(Array(repeating: 200, count: 5))
        let (second, _) = bench.submit([100])
        var promises: [RequestID: Double] = [:]
        let start = bench.now
        var waits: [RequestID: Double] = [:]
        while let pass = bench.pass() {
            bench.advance(.milliseconds(pass.tokenCount))
            for answer in bench.end(pass).answers {
                promises[answer.request] = seconds(try answer.result.get().promisedWait)
                waits[answer.request] = start.duration(to: bench.now) / .seconds(1)
            }
        }
        for request in [id, second] {
            let (promise, wait) = (try #require(promises[request]), try #require(waits[request]))
            #expect(abs(promise - wait) < 0.1 * wait)
        }
    }

    /// Bulk work that others pass over again and again: the forecast learns.
    @Test func forecastsLearnFromWhatBecameOfThem() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        var errors: [Double] = []
        for round in 0..<200 {
            let start = bench.now
            let (bulk, _) = bench.submit(Array(repeating: 100, count: 4), lane: .bulk)
            bench.submit(Array(repeating: 100, count: 4))
            while let pass = bench.pass() {
                bench.advance(.milliseconds(100))
                for answer in bench.end(pass).answers where answer.request == bulk && round > 150 {
                    let promise = seconds(try answer.result.get().promisedWait)
                    errors.append(abs(promise / (start.duration(to: bench.now) / .seconds(1)) - 1))
                }
            }
        }
        #expect(errors.count == 49)
        #expect(errors.allSatisfy { $0 < 0.1 })
    }

    /// What was foretold at another speed says nothing of the order, and of the speed only once.
    @Test(arguments: [50, 200])
    func aNewSpeedIsNotLearnedTwice(millisecondsPerPass: Int) throws {
        var bench = makeBench()
        var (promises, waits): ([Double], [Double]) = ([], [])
        for _ in 0..<100 {
            let start = bench.now
            bench.submit(Array(repeating: 100, count: 40))
            while let pass = bench.pass() {
                bench.advance(.milliseconds(millisecondsPerPass))
                for answer in bench.end(pass).answers {
                    promises.append(seconds(try answer.result.get().promisedWait))
                    waits.append(start.duration(to: bench.now) / .seconds(1))
                }
            }
        }
        let old = 4.0, new = 0.04 * Double(millisecondsPerPass)
        let range = min(old, new) * 0.95...max(old, new) * 1.05
        #expect(waits.allSatisfy { abs($0 - new) < 0.001 })
        #expect(promises.count == 100 && promises.allSatisfy(range.contains))
        #expect(promises.suffix(50).allSatisfy { abs($0 / new - 1) < 0.05 })
    }

    @Test func timingsAddUpToTheWait() throws {
        var bench = SchedulerBench()
        bench.submit([20])
        bench.advance(.milliseconds(3))
        let pass = try bench.neededPass()
        bench.advance(.milliseconds(4))
        let timing = try #require(try bench.end(pass).answers.first?.result.get()).timing
        #expect(timing == EmbeddingTiming(tokenize: .zero, queue: .milliseconds(3), compute: .milliseconds(4)))
    }
}
