import Batching
import Embeddings
import Testing

/// Interactive work between two steps of a bulk pass.
struct InterludeTests {
    private func makeBench() -> SchedulerBench {
        SchedulerBench {
            $0.maximumGangMembers = 1
            $0.interludeTokens = 32
        }
    }

    @Test func interactiveWorkRunsBetweenTheStepsOfABulkPass() throws {
        var bench = makeBench()
        bench.submit(Array(repeating: 50, count: 4), lane: .bulk)
        let bulk = try bench.neededPass()
        #expect(bulk.allowsInterludes)
        #expect(bench.state.wantsInterlude == false)
        let tooEarly = bench.state.nextInterlude(thread: 0, now: bench.now)
        #expect(tooEarly == nil)
        let (id, _) = bench.submit([8])
        #expect(bench.state.wantsInterlude == true)
        let pass = try bench.neededInterlude()
        #expect(pass.isInterlude && pass.lengths == [8])
        #expect(bench.end(pass).answers.map(\.request) == [id])
        #expect(bench.end(bulk).answers.count == 1)
    }

    @Test func anInterludeIsShortAndFilledWithBulkTexts() throws {
        var bench = makeBench()
        bench.submit(Array(repeating: 200, count: 3), lane: .bulk)
        _ = try bench.neededPass()
        bench.submit(Array(repeating: 8, count: 2), lane: .bulk)
        bench.submit([8])
        let first = try bench.neededInterlude()
        #expect(first.entries.map(\.lane) == [.interactive, .bulk, .bulk])
        bench.end(first)
        bench.submit(Array(repeating: 10, count: 5))
        let second = try bench.neededInterlude()
        #expect(second.lengths == [10, 10, 10])
        bench.end(second)
        // One text is taken however long it is.
        bench.submit([250])
        while let (pass, _) = bench.state.nextInterlude(thread: 0, now: bench.now) {
            #expect(pass.rectangleTokenCount <= 32 || pass.sequenceCount == 1)
            bench.end(pass)
        }
        #expect(bench.state.wantsInterlude == false)
    }

    @Test func interactivePassesAndGangsAreNotInterrupted() throws {
        var bench = makeBench()
        bench.submit([50])
        let interactive = try bench.neededPass()
        #expect(!interactive.allowsInterludes)
        var gang = SchedulerBench { $0.computeThreadCount = 2 }
        gang.submit([50], lane: .bulk)
        let pass = try gang.neededPass()
        #expect(pass.gangLeader == 0 && !pass.allowsInterludes)
        var fixed = SchedulerBench { $0.mode = .firstComeFirstServed(batchSize: 1, wait: .zero) }
        fixed.submit([50], lane: .bulk)
        let alone = try fixed.neededPass()
        #expect(!alone.allowsInterludes)
    }

    /// 100 tokens in 100 ms of their own, though an interlude of 50 ms came between.
    @Test func whatInterludesTakeIsNotThePassesOwnTime() throws {
        var bench = makeBench()
        bench.submit(Array(repeating: 100, count: 1), lane: .bulk)
        let bulk = try bench.neededPass()
        bench.submit([8])
        bench.advance(.milliseconds(40))
        let interlude = try bench.neededInterlude()
        bench.advance(.milliseconds(50))
        bench.end(interlude)
        bench.advance(.milliseconds(60))
        #expect(bench.end(bulk).events.contains(.passEnded(bulk, elapsed: .milliseconds(100))))
    }

    /// Interactive texts without end, as long as they may be, at every layer of every pass.
    @Test func bulkWorkKeepsItsShareOfInterludes() throws {
        var bench = makeBench()
        var (bulk, interactive) = (0, 0)
        func count(_ pass: Pass) {
            for entry in pass.entries {
                if entry.lane == .bulk { bulk += entry.tokenCount } else { interactive += entry.tokenCount }
            }
        }
        bench.submit(Array(repeating: 200, count: 1_000), lane: .bulk)
        for _ in 0..<300 {
            bench.submit([250, 250])
            let pass = try bench.neededPass()
            count(pass)
            for _ in 0..<30 {
                bench.submit([250])
                guard let (interlude, _) = bench.state.nextInterlude(thread: 0, now: bench.now) else { continue }
                count(interlude)
                bench.end(interlude)
            }
            bench.end(pass)
        }
        let share = Double(bulk) / Double(bulk + interactive)
        #expect(share > 0.1)
    }
}
