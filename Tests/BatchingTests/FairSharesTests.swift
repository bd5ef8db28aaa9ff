import Batching
import Embeddings
import Testing

/// Clients that share a lane, and the queue.
struct FairSharesTests {
    private let flood = ClientID("flood")
    private let lone = ClientID("lone")

    @Test func aClientWithLittleWaitsForNoOthersBacklog() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit(Array(repeating: 20, count: 50), client: flood)
        _ = bench.pass()
        bench.submit([20], client: lone)
        #expect(bench.pass()?.entries[0].client == lone)
        #expect(bench.pass()?.entries[0].client == flood)
    }

    @Test func clientsWithMuchTakeTurnsByTokens() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit(Array(repeating: 30, count: 30), client: flood)
        bench.submit(Array(repeating: 10, count: 30), client: lone)
        let clients = (0..<40).compactMap { _ in bench.pass()?.entries[0].client }
        // Three short texts for every long one.
        #expect((9...11).contains(clients.count { $0 == flood }))
    }

    @Test func aPassIsFilledWithItsClientsTextsFirst() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 4 }
        bench.submit([10, 10, 10, 10, 10], client: flood)
        bench.submit([10, 10, 10, 18], client: lone)
        let first = bench.pass()?.entries.map(\.client)
        let second = bench.pass()?.entries.map(\.client)
        #expect(first == Array(repeating: flood, count: 4))
        #expect(second == [lone, lone, lone, flood])
    }

    /// Nine clients come back, each with a tenth of what the tenth one asked for, whenever they have their answers.
    @Test func aLongRequestIsNotPassedOverForLongAfterItWasPromised() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        var owners: [RequestID: ClientID] = [:]
        for number in 0..<9 {
            let client = ClientID("short \(number)")
            owners[bench.submit(Array(repeating: 100, count: 4), client: client).0] = client
        }
        let (long, _) = bench.submit(Array(repeating: 100, count: 40), client: lone)
        let start = bench.now
        for _ in 0..<1_000 {
            let pass = try bench.neededPass()
            bench.advance(.milliseconds(100))
            for answer in bench.end(pass).answers {
                if answer.request == long {
                    let promise = try #require(try answer.result.get().promisedWait)
                    // With fair turns alone five times as long.
                    #expect(start.duration(to: bench.now) < promise * 2)
                    return
                }
                guard let client = owners.removeValue(forKey: answer.request) else { continue }
                owners[bench.submit(Array(repeating: 100, count: 4), client: client).0] = client
            }
        }
        Issue.record("never answered")
    }

    @Test func whoComesWhileOthersAreOverdueWaitsForOneTurnMore() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        for number in 0..<5 {
            bench.submit(Array(repeating: 20, count: 200), client: ClientID("flood \(number)"))
        }
        bench.advance(.seconds(60))
        for number in 0..<100 {
            for _ in 0..<8 { _ = bench.pass() }
            let newcomer = ClientID("lone \(number)")
            bench.submit([20], client: newcomer)
            // Who begins as the others stand is, of equals, the last one: six fair turns, six overdue.
            let clients = (0..<12).compactMap { _ in bench.pass()?.entries[0].client }
            #expect(clients.contains(newcomer))
        }
    }

    @Test func nobodySavesUpTurns() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit(Array(repeating: 20, count: 100), client: flood)
        for _ in 0..<50 { _ = bench.pass() }
        bench.submit(Array(repeating: 20, count: 20), client: lone)
        let clients = (0..<20).compactMap { _ in bench.pass()?.entries[0].client }
        #expect((9...11).contains(clients.count { $0 == lone }))
    }

    @Test func nobodyGainsByLeavingForAMoment() {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit(Array(repeating: 20, count: 100), client: flood)
        var clients: [ClientID] = []
        for _ in 0..<20 {
            // It comes back with one large text each time.
            bench.submit([100], client: lone)
            while let client = bench.pass()?.entries[0].client {
                clients.append(client)
                if client == lone { break }
            }
        }
        #expect(clients.count { $0 == flood } >= 5 * 18)
    }

    @Test func oneClientMayFillAnEmptyQueueButNotTheLastQuarterOfAShared() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 1000 }
        bench.submit(Array(repeating: 100, count: 7), client: flood)
        #expect(bench.submit([40], client: lone).1.answers.isEmpty)
        // More than half is more than an equal part now.
        #expect(bench.submit([100], client: flood).1.retryAfter != nil)
        #expect(bench.submit([100, 100], client: lone).1.answers.isEmpty)
        #expect(bench.submit([100], client: lone).1.retryAfter != nil)
        #expect(bench.state.load(at: bench.now).clientCount == 2)
    }

    @Test func aQueueThatIsTooLongIsRefusedAtOnce() {
        var bench = SchedulerBench {
            $0.maximumQueueWait = .seconds(2)
            $0.inlineTokenizationBytes = 0
        }
        // Alone, a request is taken whatever its size; before anything is measured, 1,000 tokens a second are assumed.
        #expect(bench.submit(Array(repeating: 200, count: 25), lane: .bulk).1.answers.isEmpty)
        let request = EmbeddingRequest(inputs: [.text("x")], lane: .bulk)
        let wait = bench.state.begin(request, id: RequestID(99), now: bench.now).retryAfter
        #expect(wait.map { (2.5...3.5).contains($0 / .seconds(1)) } == true)
        // The other lane is not waited for.
        #expect(bench.submit([20]).1.answers.isEmpty)
    }

    /// Fresh connections without end, each with one text: one that has had a turn has the next all the same.
    @Test func nobodyIsPassedOverByEverNewClients() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit([200, 200], client: flood)
        for newcomer in 0..<3 { bench.submit([20], client: ClientID("\(newcomer)")) }
        var turns = 0
        var left = 2
        while left > 0, turns < 200 {
            bench.submit([20], client: ClientID("newcomer \(turns)"))
            let pass = try bench.neededPass()
            if pass.entries[0].client == flood { left -= 1 }
            bench.end(pass)
            turns += 1
        }
        // Of some five clients the one's 200 tokens between its turns are a fifth: some 60 turns of 20.
        #expect(left == 0 && turns <= 90)
    }

    @Test func clientsThatCameOnceAreForgotten() throws {
        var bench = SchedulerBench { $0.maximumBatchSequences = 1 }
        bench.submit([20, 20], client: lone)
        var most = 0
        for client in 0..<2_000 {
            bench.submit([20], client: ClientID("\(client)"))
            bench.end(try bench.neededPass())
            most = max(most, bench.state.rememberedClientCount)
        }
        #expect(most <= 20)
        bench.end(try bench.neededPass())
        bench.end(try bench.neededPass())
        #expect(bench.state.rememberedClientCount == 0)
    }

    @Test func aNewcomerMayTakeWhatIsFree() {
        var bench = SchedulerBench { $0.maximumQueuedTokens = 1000 }
        bench.submit([5], client: lone)
        #expect(bench.submit(Array(repeating: 90, count: 10), client: flood).1.answers.isEmpty)
    }
}
