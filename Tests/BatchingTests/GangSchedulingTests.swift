import Batching
import Testing

/// Who may help whom, and when.
struct GangSchedulingTests {
    private func makeBench(threads: Int, parked: Range<Int>, members: Int = 4) -> SchedulerBench {
        var bench = SchedulerBench {
            $0.computeThreadCount = threads
            $0.maximumGangMembers = members
            $0.maximumBatchSequences = 1
        }
        for thread in parked { #expect(bench.state.nextPass(thread: thread, now: bench.now) == .park(until: nil)) }
        return bench
    }

    @Test func aLoneTextIsOpenedToAThreadThatSleeps() {
        var bench = makeBench(threads: 2, parked: 0..<2)
        #expect(bench.submit([8]).1.computeWakes == [1])
        guard case .run(let pass, let began) = bench.state.nextPass(thread: 1, now: bench.now) else {
            Issue.record("no pass")
            return
        }
        #expect(pass.gangLeader == 1)
        #expect(began.computeWakes == [0])
        #expect(bench.help(thread: 0) == Help(leader: 1, wakes: []))
        // It came back, and there is nothing more to do for it here.
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .park(until: nil))
        #expect(bench.end(pass).answers.count == 1)
        #expect(bench.submit([8]).1.computeWakes == [0])
    }

    @Test func passesAreClosedWhereOthersWait() {
        var bench = makeBench(threads: 3, parked: 0..<3)
        bench.submit([8, 200])
        // The second text is for the second thread, not for the first one's help.
        #expect(bench.pass(thread: 1)?.gangLeader == nil)
        #expect(bench.pass(thread: 2)?.gangLeader == 2)
    }

    @Test func passesAreClosedWhereNobodyIsIdle() {
        var bench = makeBench(threads: 2, parked: 0..<2)
        bench.submit([8, 200])
        guard let first = bench.pass(thread: 1), let second = bench.pass(thread: 0) else {
            Issue.record("no passes")
            return
        }
        #expect(first.gangLeader == nil && second.gangLeader == nil)
        bench.end(first)
        #expect(bench.state.nextPass(thread: 1, now: bench.now) == .park(until: nil))
    }

    @Test func aGangOfOneIsNone() {
        var bench = makeBench(threads: 2, parked: 0..<2, members: 1)
        bench.submit([8])
        let pass = bench.pass(thread: 1)
        #expect(pass != nil && pass?.gangLeader == nil)
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .park(until: nil))
    }

    @Test func oneHelperWakesTheNextUpToTheLimit() {
        var bench = makeBench(threads: 5, parked: 0..<5, members: 3)
        #expect(bench.submit([100]).1.computeWakes == [4])
        guard case .run(_, let began) = bench.state.nextPass(thread: 4, now: bench.now) else {
            Issue.record("no pass")
            return
        }
        #expect(began.computeWakes == [3])
        #expect(
            bench.help(thread: 3) == Help(leader: 4, wakes: [2]))
        #expect(bench.help(thread: 2) == Help(leader: 4, wakes: []))
        #expect(bench.state.nextPass(thread: 1, now: bench.now) == .park(until: nil))
    }

    @Test func helpersAreCalledBackOnceForNewWork() {
        var bench = makeBench(threads: 3, parked: 0..<3)
        bench.submit([100])
        let first = bench.pass(thread: 2)
        #expect(first?.gangLeader == 2)
        #expect(bench.help(thread: 1) == Help(leader: 2, wakes: [0]))
        #expect(bench.help(thread: 0) == Help(leader: 2, wakes: []))
        let second = bench.submit([8]).1
        #expect(second.computeWakes == [] && second.recalls == [0])
        let third = bench.submit([8, 8]).1
        #expect(third.computeWakes == [] && third.recalls == [1])
        #expect(bench.pass(thread: 0)?.gangLeader == nil)
        #expect(bench.pass(thread: 1)?.gangLeader == nil)
    }

    @Test func sleepersGoBeforeHelpers() {
        var bench = makeBench(threads: 3, parked: 0..<3, members: 2)
        bench.submit([100])
        _ = bench.pass(thread: 2)
        #expect(bench.help(thread: 1) == Help(leader: 2, wakes: []))
        let action = bench.submit([8, 8]).1
        #expect(action.computeWakes == [0] && action.recalls == [1])
    }

    @Test func aPassThatEndedIsHelpedNoMore() {
        var bench = makeBench(threads: 2, parked: 0..<2)
        bench.submit([8])
        guard let pass = bench.pass(thread: 1) else {
            Issue.record("no pass")
            return
        }
        bench.end(pass)
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .park(until: nil))
    }

    @Test func stopCallsHelpersBack() {
        var bench = makeBench(threads: 2, parked: 0..<2)
        bench.submit([8])
        _ = bench.pass(thread: 1)
        #expect(bench.help(thread: 0) == Help(leader: 1, wakes: []))
        #expect(bench.state.stop().recalls == [0])
        #expect(bench.state.nextPass(thread: 0, now: bench.now) == .exit)
    }
}

private struct Help: Equatable {
    let leader: Int
    let wakes: [Int]
}

extension SchedulerBench {
    fileprivate mutating func help(thread: Int) -> Help? {
        guard case .help(let leader, let action) = state.nextPass(thread: thread, now: now) else { return nil }
        return Help(leader: leader, wakes: action.computeWakes)
    }
}
