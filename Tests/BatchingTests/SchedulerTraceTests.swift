import Batching
import Embeddings
import Testing

/// Random traces of calls, passes, interludes, cancellations and time, each checked against a plain account of what it
/// should come to.
struct SchedulerTraceTests {
    private struct Call {
        let texts: [[Int32]]
        let lane: Lane
        let arrival: Int
        /// Tokens that were admitted and not done when it came, its own included.
        let backlog: Int
        var isOpen = true
    }

    private struct Account {
        var calls: [RequestID: Call] = [:]
        var cancelled: Set<RequestID> = []
        /// What was taken by passes so far, in tokens.
        var takenTokens = 0
        var taken: Set<UInt64> = []
        /// By their first tokens.
        var runningTexts: Set<Int32> = []
        var doneTexts: [RequestID: Set<Int32>] = [:]
        var sharedPasses = 0

        /// Texts that some open call still wants and no pass has.
        var waitingTexts: Set<Int32> {
            var texts: Set<Int32> = []
            for (id, call) in calls where call.isOpen {
                for text in call.texts where doneTexts[id]?.contains(text[0]) != true { texts.insert(text[0]) }
            }
            return texts.subtracting(runningTexts)
        }

        /// Tokens of open calls' texts without a vector, a text as often as it was asked for.
        var openTokens: Int {
            calls.reduce(0) { sum, call in
                guard call.value.isOpen else { return sum }
                return call.value.texts.reduce(sum) {
                    $0 + (doneTexts[call.key]?.contains($1[0]) == true ? 0 : $1.count)
                }
            }
        }
    }

    private static let clients = ["a", "b", "c", "d"].map { ClientID($0) }
    private static let budget = 6000
    private static let interludeTokens = 32

    @Test(arguments: 1...16 as ClosedRange<UInt64>)
    func everyTraceKeepsItsPromises(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let maximumBatchTokens = [64, 512, 2048][Int(seed % 3)]
        var bench = SchedulerBench {
            $0.computeThreadCount = 3
            $0.maximumBatchTokens = maximumBatchTokens
            $0.maximumBatchSequences = 8
            $0.maximumQueuedTokens = Self.budget
            $0.interludeTokens = Self.interludeTokens
        }
        var account = Account()
        var running: [Int: [Pass]] = [:]
        var knownTexts: [[Int32]] = []
        for step in 0..<3000 {
            bench.advance(.microseconds(Int.random(in: 0...3000, using: &random)))
            if step == 2500 { _ = bench.state.beginShutdown() }
            switch Int.random(in: 0..<10, using: &random) {
            case 0...3:
                try submit(to: &bench, &account, &knownTexts, isOpen: step < 2500, &random)
            case 4...6:
                guard let thread = (0..<3).randomElement(using: &random) else { continue }
                if let outer = running[thread]?.last {
                    guard outer.allowsInterludes, running[thread]?.count == 1,
                        let (pass, _) = bench.state.nextInterlude(thread: thread, now: bench.now)
                    else { continue }
                    try #require(pass.lane == .interactive && pass.isInterlude)
                    try check(pass, &account, tokenLimit: Self.interludeTokens)
                    running[thread]?.append(pass)
                } else if let pass = bench.pass(thread: thread) {
                    try check(pass, &account, tokenLimit: maximumBatchTokens)
                    running[thread] = [pass]
                }
            case 7...8:
                guard let thread = running.keys.sorted().randomElement(using: &random),
                    let pass = running[thread]?.popLast()
                else { continue }
                if running[thread]?.isEmpty == true { running[thread] = nil }
                try settle(bench.end(pass), pass, &account)
            default:
                guard let id = account.calls.filter({ $0.value.isOpen }).keys.randomElement(using: &random),
                    Int.random(in: 0..<3, using: &random) == 0
                else { continue }
                let action = bench.state.cancel(id)
                try #require(action.answers == [.init(request: id, result: .failure(.cancelled))])
                account.calls[id]?.isOpen = false
                account.cancelled.insert(id)
            }
            try #require(bench.state.waitingCount == account.waitingTexts.count)
            try #require(bench.state.admittedTokenCount == account.openTokens)
            try #require(bench.state.admittedTokenCount <= Self.budget)
        }
        // What is left is finished, and everybody has an answer.
        for passes in running.values {
            for pass in passes.reversed() { try settle(bench.end(pass), pass, &account) }
        }
        while let pass = bench.pass() {
            try check(pass, &account, tokenLimit: maximumBatchTokens)
            try settle(bench.end(pass), pass, &account)
        }
        #expect(account.calls.values.allSatisfy { !$0.isOpen })
        #expect(bench.state.admittedTokenCount == 0)
        #expect(!account.cancelled.isEmpty)
        #expect(account.sharedPasses > 0)
    }

    private func submit(
        to bench: inout SchedulerBench, _ account: inout Account, _ knownTexts: inout [[Int32]], isOpen: Bool,
        _ random: inout SeededGenerator
    ) throws {
        var texts: [[Int32]] = []
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            // Some are asked for again, by others or in the same call.
            if Int.random(in: 0..<4, using: &random) == 0,
                let known = knownTexts.suffix(20).randomElement(using: &random)
            {
                texts.append(known)
            } else {
                texts.append(bench.text(ofLength: RealLengths.quantiles.randomElement(using: &random) ?? 1))
                knownTexts.append(texts[texts.count - 1])
            }
        }
        let lane = Lane.allCases.randomElement(using: &random) ?? .bulk
        let client = Self.clients.randomElement(using: &random) ?? .unnamed
        let tokenCount = texts.reduce(0) { $0 + $1.count }
        let fits = account.openTokens + tokenCount <= Self.budget
        let (id, action) = bench.submit(texts: texts, lane: lane, client: client)
        let isRefused = !action.answers.isEmpty
        if !isOpen || !fits { try #require(isRefused) }
        // A queue that is no more than half full refuses nobody.
        if isOpen, account.openTokens + tokenCount <= Self.budget / 2 { try #require(!isRefused) }
        guard !isRefused else { return }
        account.calls[id] = Call(
            texts: texts, lane: lane, arrival: account.takenTokens, backlog: account.openTokens + tokenCount)
    }

    private func check(_ pass: Pass, _ account: inout Account, tokenLimit: Int) throws {
        let wanted = account.waitingTexts
        for entry in pass.entries {
            // Wanted by somebody who is still there, and had by no other pass.
            try #require(wanted.contains(entry.sequence.ids[0]))
            try #require(account.taken.insert(entry.order).inserted)
            try #require(account.runningTexts.insert(entry.sequence.ids[0]).inserted)
        }
        try #require(pass.sequenceCount == 1 || pass.rectangleTokenCount <= tokenLimit)
        try #require(pass.sequenceCount <= 8)
        let padding = pass.rectangleTokenCount - pass.tokenCount
        try #require(Double(padding) <= 32 + 0.04 * Double(pass.tokenCount))
        // Nobody waits for more than all that was admitted before it, its client's share of what came after, and what
        // passes are rounded up by: with four clients and an eighth for bulk work.
        for entry in pass.entries {
            guard let call = account.calls[entry.request], call.isOpen else { continue }
            let share = call.lane == .bulk ? 8 : 2
            let bound = share * Self.clients.count * (call.backlog + 3 * 2048)
            try #require(account.takenTokens - call.arrival <= bound)
        }
        account.takenTokens += pass.tokenCount
    }

    private func settle(_ action: SchedulerAction, _ pass: Pass, _ account: inout Account) throws {
        for entry in pass.entries {
            let text = entry.sequence.ids[0]
            account.runningTexts.remove(text)
            let askers = account.calls.filter { call in
                call.value.isOpen && call.value.texts.contains { $0[0] == text }
            }
            if askers.count > 1 { account.sharedPasses += 1 }
            for id in askers.keys { account.doneTexts[id, default: []].insert(text) }
        }
        for answer in action.answers {
            // Answered once, and every embedding is its own input's.
            let call = try #require(account.calls[answer.request])
            try #require(call.isOpen)
            account.calls[answer.request]?.isOpen = false
            let embeddings = try answer.result.get().results.map { try $0.get() }
            try #require(embeddings.map(\.vector) == call.texts.map { SchedulerBench.vector(of: $0) })
            try #require(embeddings.map(\.tokenCount) == call.texts.map(\.count))
        }
        // Who has all vectors has an answer.
        for (id, call) in account.calls where call.isOpen {
            try #require(!call.texts.allSatisfy { account.doneTexts[id]?.contains($0[0]) == true })
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func firstComeFirstServedTakesTheFrontOfTheQueue(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var bench = SchedulerBench { $0.mode = .firstComeFirstServed(batchSize: 6, wait: .milliseconds(4)) }
        var queue: [Int32] = []
        for _ in 0..<500 {
            bench.advance(.microseconds(Int.random(in: 0...3000, using: &random)))
            let texts = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                bench.text(ofLength: RealLengths.quantiles.randomElement(using: &random) ?? 1)
            }
            bench.submit(texts: texts, lane: Lane.allCases.randomElement(using: &random) ?? .bulk)
            queue += texts.map { $0[0] }
            guard let pass = bench.pass() else { continue }
            try #require(pass.sequenceCount <= 6)
            try #require(pass.entries.map { $0.sequence.ids[0] } == Array(queue.prefix(pass.sequenceCount)))
            queue.removeFirst(pass.sequenceCount)
            bench.end(pass)
        }
    }

    @Test func sixtyThousandWaitingTextsArePickedInLittleTime() {
        var random = SeededGenerator(seed: 9)
        var bench = SchedulerBench { $0.maximumQueuedTokens = 10_000_000 }
        var lengths: [Int] = []
        while lengths.count < 60_000 { lengths += RealLengths.quantiles.shuffled(using: &random) }
        for start in stride(from: 0, to: 60_000, by: 2000) { bench.submit(Array(lengths[start..<start + 2000])) }
        #expect(bench.state.waitingCount == 60_000)
        let began = ContinuousClock.now
        var count = 0
        while let pass = bench.pass() {
            count += pass.sequenceCount
            bench.end(pass)
        }
        #expect(count == 60_000)
        // Measured: 0.16 s on a busy machine. A choice that walked the queue for every text would take minutes.
        let elapsed = began.duration(to: .now)
        #expect(elapsed < .seconds(5))
    }
}
