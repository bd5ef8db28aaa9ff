import Batching
import Embeddings
import Testing

/// What is remembered of passes that a scheduler made, and how much.
struct PassJournalTests {
    /// Runs texts of these lengths as one pass, and returns when it began.
    @discardableResult
    private func run(
        _ lengths: [Int], on thread: Int = 0, lane: Lane = .interactive, bench: inout SchedulerBench,
        in journal: PassJournal, for duration: Duration = .milliseconds(5)
    ) -> ContinuousClock.Instant {
        let start = bench.now
        bench.submit(lengths, lane: lane)
        guard let pass = bench.pass(thread: thread) else { return start }
        journal.record(.passBegan(pass), now: bench.now)
        bench.advance(duration)
        for event in bench.end(pass).events { journal.record(event, now: bench.now) }
        return start
    }

    @Test func aPassIsTakenDownWithItsLengths() {
        var bench = SchedulerBench {
            $0.computeThreadCount = 2
            $0.maximumGangMembers = 1
        }
        let journal = PassJournal()
        let start = run([12, 11, 12], on: 1, lane: .bulk, bench: &bench, in: journal)
        let activity = journal.excerpt(after: 0, now: bench.now)
        #expect(
            activity.passes == [
                PassRecord(
                    number: 1, thread: 1, lane: .bulk, isShared: false, isInterlude: false, startedAt: start,
                    duration: .milliseconds(5),
                    sequenceCount: 3, tokenCount: 35, width: 12, lengths: [12, 12, 11])
            ])
        #expect(activity.totals.passCount == 1 && activity.totals.textCount == 3)
        #expect(activity.totals.tokenCount == 35 && activity.totals.rectangleTokenCount == 36)
        #expect(activity.moment == bench.now && activity.missedPassCount == 0)
    }

    @Test func aPassUnderWayIsSeenUntilItEnds() {
        var bench = SchedulerBench {
            $0.maximumBatchSequences = 1; $0.computeThreadCount = 2
        }
        let journal = PassJournal()
        bench.submit([7, 9])
        let passes = [bench.pass(thread: 0), bench.pass(thread: 1)].compactMap { $0 }
        for pass in passes { journal.record(.passBegan(pass), now: bench.now) }
        #expect(journal.excerpt(after: 0, now: bench.now).runningPasses.map(\.lengths) == [[7], [9]])
        bench.advance(.milliseconds(1))
        for event in bench.end(passes[0]).events { journal.record(event, now: bench.now) }
        let activity = journal.excerpt(after: 0, now: bench.now)
        #expect(activity.runningPasses.map(\.thread) == [1])
        #expect(activity.passes.map(\.thread) == [0] && activity.passes.first?.number == 1)
        #expect(activity.runningPasses.first?.duration == nil)
    }

    @Test func eachLookTellsWhatTheLastOneDidNot() {
        var bench = SchedulerBench()
        let journal = PassJournal()
        for length in 1...3 { run([length], bench: &bench, in: journal) }
        let first = journal.excerpt(after: 0, now: bench.now)
        #expect(first.passes.map(\.width) == [1, 2, 3])
        for length in 4...5 { run([length], bench: &bench, in: journal) }
        let second = journal.excerpt(after: first.cursor, now: bench.now)
        #expect(second.passes.map(\.width) == [4, 5])
        let third = journal.excerpt(after: second.cursor, now: bench.now)
        #expect(third.passes.isEmpty && third.missedPassCount == 0 && third.totals.passCount == 5)
    }

    @Test(arguments: [0, 1, 4, 5, 6, 11])
    func onlyTheNewestAreRememberedAndTheRestIsCounted(count: Int) {
        var bench = SchedulerBench()
        let journal = PassJournal(capacity: 5, excerptLimit: 4)
        for length in 0..<count { run([length + 1], bench: &bench, in: journal) }
        let activity = journal.excerpt(after: 0, now: bench.now)
        #expect(activity.passes.map(\.width) == (0..<count).suffix(4).map { $0 + 1 })
        #expect(activity.missedPassCount == max(0, count - 4))
        #expect(activity.totals.passCount == count)
    }

    @Test func anExcerptOfLargePassesIsShorter() {
        var bench = SchedulerBench {
            $0.maximumBatchTokens = 1_000; $0.maximumBatchSequences = 1_000
        }
        let journal = PassJournal()
        for _ in 0..<60 { run(Array(repeating: 1, count: 300), bench: &bench, in: journal) }
        let activity = journal.excerpt(after: 0, now: bench.now)
        // 32 passes of 256 lengths each; the pass's own counts hold all of its texts.
        #expect(activity.passes.count == 32 && activity.missedPassCount == 28)
        #expect(activity.passes.allSatisfy { $0.lengths.count == PassRecord.lengthLimit && $0.sequenceCount == 300 })
    }

    @Test func aPassThatNeverEndsIsForgottenWithItsThreadsNext() {
        var bench = SchedulerBench {
            $0.maximumBatchSequences = 1; $0.computeThreadCount = 2
        }
        let journal = PassJournal()
        bench.submit(Array(repeating: 3, count: 9))
        for thread in [0, 1, 0, 0, 0] {
            guard let pass = bench.pass(thread: thread) else { break }
            journal.record(.passBegan(pass), now: bench.now)
            bench.advance(.seconds(1))
        }
        let activity = journal.excerpt(after: 0, now: bench.now)
        #expect(activity.runningPasses.map(\.number) == [2, 5] && activity.passes.isEmpty)
    }

    @Test func anInterludeLeavesThePassThatItInterruptsUnderWay() throws {
        var bench = SchedulerBench { $0.maximumGangMembers = 1 }
        let journal = PassJournal()
        bench.submit(Array(repeating: 50, count: 4), lane: .bulk)
        let outer = try bench.neededPass()
        journal.record(.passBegan(outer), now: bench.now)
        bench.advance(.milliseconds(10))
        bench.submit([8])
        let interlude = try bench.neededInterlude()
        journal.record(.passBegan(interlude), now: bench.now)
        let meanwhile = journal.excerpt(after: 0, now: bench.now)
        #expect(meanwhile.runningPasses.map(\.isInterlude) == [false, true])
        bench.advance(.milliseconds(2))
        for event in bench.end(interlude).events { journal.record(event, now: bench.now) }
        bench.advance(.milliseconds(10))
        for event in bench.end(outer).events { journal.record(event, now: bench.now) }
        let activity = journal.excerpt(after: 0, now: bench.now)
        #expect(activity.runningPasses.isEmpty)
        #expect(activity.passes.map(\.number) == [interlude.number, outer.number])
        // As they are seen from outside, one within the other.
        #expect(activity.passes.map(\.duration) == [.milliseconds(2), .milliseconds(22)])
    }

    @Test func refusalsAndDropsAreCountedByCause() {
        let journal = PassJournal()
        journal.record(.refused(.cancelled), now: .now)
        journal.record(.refused(.overloaded(retryAfter: .seconds(1))), now: .now)
        journal.record(.refused(.overloaded(retryAfter: .seconds(9))), now: .now)
        journal.record(.dropped(sequenceCount: 4), now: .now)
        journal.record(.discarded(sequenceCount: 2), now: .now)
        let totals = journal.excerpt(after: 0, now: .now).totals
        #expect(totals.refusals == ["cancelled": 1, "overloaded": 2])
        #expect(totals.droppedTextCount == 4 && totals.discardedTextCount == 2)
    }

    @Test func lanesTellWhatWaitsAndForHowLong() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        #expect(bench.state.load(of: .bulk, at: bench.now) == LaneLoad(textCount: 0, tokenCount: 0, oldestAge: nil))
        bench.submit([5, 6], lane: .bulk)
        bench.advance(.milliseconds(30))
        bench.submit([7])
        bench.advance(.milliseconds(10))
        #expect(
            bench.state.load(of: .bulk, at: bench.now)
                == LaneLoad(textCount: 2, tokenCount: 11, oldestAge: .milliseconds(40)))
        #expect(
            bench.state.load(of: .interactive, at: bench.now)
                == LaneLoad(textCount: 1, tokenCount: 7, oldestAge: .milliseconds(10)))
    }
}
