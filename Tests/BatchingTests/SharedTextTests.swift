import Batching
import Embeddings
import Testing

/// Texts that are asked for more than once while they wait or run.
struct SharedTextTests {
    private func vectors(_ answer: SchedulerAction.Answer?) -> [EmbeddingVector] {
        (try? answer?.result.get())?.results.compactMap { try? $0.get().vector } ?? []
    }

    @Test func identicalTextsAreComputedOnce() throws {
        var bench = SchedulerBench()
        let (text, other) = (bench.text(ofLength: 20), bench.text(ofLength: 20))
        let (first, _) = bench.submit(texts: [text, other, text])
        let (second, action) = bench.submit(texts: [other])
        #expect(action.computeWakes.isEmpty)
        #expect(bench.state.waitingCount == 2)
        #expect(bench.state.admittedTokenCount == 80)
        let pass = try bench.neededPass()
        #expect(pass.sequenceCount == 2)
        // One that runs is joined, too.
        let (third, _) = bench.submit(texts: [text])
        #expect(bench.state.waitingCount == 0)
        let answers = bench.end(pass).answers
        #expect(Set(answers.map(\.request)) == [first, second, third])
        #expect(
            vectors(answers.first { $0.request == first })
                == [text, other, text].map { SchedulerBench.vector(of: $0) })
        #expect(vectors(answers.first { $0.request == third }) == [SchedulerBench.vector(of: text)])
        #expect(bench.state.admittedTokenCount == 0)
        // It is done, and is not remembered.
        bench.submit(texts: [text])
        #expect(bench.state.waitingCount == 1)
    }

    @Test func whoJoinsABulkTextIsPromisedItsOwnLane() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        let text = bench.text(ofLength: 20)
        bench.submit(Array(repeating: 200, count: 100), lane: .bulk)
        bench.submit(texts: [text], lane: .bulk)
        // One joins it before it waits among interactive texts, one there.
        let joining = [bench.submit(texts: [text]).0, bench.submit(texts: [text]).0]
        let pass = try bench.neededPass()
        let answers = bench.end(pass).answers
        for request in joining {
            let answer = try #require(answers.first { $0.request == request })
            // 20 tokens at the 1,000 a second that are assumed, and bulk work's share; not 20 seconds.
            #expect(try #require(try answer.result.get().promisedWait) < .seconds(1))
        }
    }

    @Test func whoLeavesTakesNothingFromTheOthers() throws {
        var bench = SchedulerBench()
        let text = bench.text(ofLength: 20)
        let (first, _) = bench.submit(texts: [text])
        let (second, _) = bench.submit(texts: [text])
        _ = bench.state.cancel(first)
        #expect(bench.state.waitingCount == 1)
        let pass = try bench.neededPass()
        #expect(bench.end(pass).answers.map(\.request) == [second])
        let (third, _) = bench.submit(texts: [text])
        let (fourth, _) = bench.submit(texts: [text])
        _ = bench.state.cancel(third)
        _ = bench.state.cancel(fourth)
        #expect(bench.state.waitingCount == 0)
        #expect(bench.pass() == nil)
    }

    @Test func aBulkTextThatSomebodyWaitsForMovesUp() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        let text = bench.text(ofLength: 20)
        bench.submit([30, 30], lane: .bulk)
        let (bulk, _) = bench.submit(texts: [text], lane: .bulk)
        let (interactive, _) = bench.submit(texts: [text])
        let pass = try bench.neededPass()
        #expect(pass.entries.map(\.sequence.ids) == [text])
        #expect(Set(bench.end(pass).answers.map(\.request)) == [bulk, interactive])
    }

    @Test func oneThatIsNotFiniteFailsAllWhoAskedForIt() throws {
        var bench = SchedulerBench()
        let text = bench.text(ofLength: 20)
        bench.submit(texts: [text])
        bench.submit(texts: [bench.text(ofLength: 3), text])
        let pass = try bench.neededPass()
        let action = bench.state.passEnded(
            pass, vectors: pass.entries.map { $0.sequence.ids == text ? nil : SchedulerBench.vector(of: $0) },
            now: bench.now)
        #expect(
            action.answers.map(\.result)
                == [.failure(.vectorNotFinite(index: 0)), .failure(.vectorNotFinite(index: 1))])
    }

    @Test func eachInputFailsForItselfWhereThatIsAsked() throws {
        var bench = SchedulerBench()
        let (good, bad) = (bench.text(ofLength: 5), bench.text(ofLength: 6))
        let (id, action) = bench.submit(texts: [[-1, 2], good, bad], failurePolicy: .perInput)
        #expect(action.answers.isEmpty)
        let pass = try bench.neededPass()
        let ended = bench.state.passEnded(
            pass, vectors: pass.entries.map { $0.sequence.ids == bad ? nil : SchedulerBench.vector(of: $0) },
            now: bench.now)
        #expect(ended.answers.map(\.request) == [id])
        let results = try #require(try ended.answers.first?.result.get()).results
        #expect(results[0] == .failure(.invalidToken(index: 0, id: -1, vocabularySize: 9)))
        #expect(try results[1].get().vector == SchedulerBench.vector(of: good))
        #expect(results[2] == .failure(.vectorNotFinite(index: 2)))
        // Where none can be embedded, the answer is there at once.
        let (_, none) = bench.submit(texts: [[-1], [-2]], failurePolicy: .perInput)
        #expect(try none.answers.first?.result.get().results.count == 2)
        #expect(bench.state.admittedTokenCount == 0)
    }
}
