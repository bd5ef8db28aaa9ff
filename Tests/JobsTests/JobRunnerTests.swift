import Embeddings
import Jobs
import Testing

struct JobRunnerTests {
    private static func texts(_ count: Int) -> [String] {
        (0..<count).map { "text \($0) " + String(repeating: "x", count: $0 % 97) }
    }

    private static func expectVectors(of texts: [String], in outcomes: [InputOutcome], except failed: Set<Int> = []) {
        #expect(outcomes.map(\.index) == Array(texts.indices))
        let wrong = outcomes.filter { outcome in
            if failed.contains(outcome.index) { return false }
            return outcome.kind != .embedded(ScriptedEmbedder.embedding(of: texts[outcome.index]))
        }
        #expect(wrong.isEmpty)
    }

    @Test func everyInputGetsItsVectorOnce() async throws {
        let texts = Self.texts(1_000)
        let bench = Bench()
        bench.store.add(texts)
        try await bench.run { bench in
            await bench.reach { bench.store.isDone }
        }
        Self.expectVectors(of: texts, in: bench.store.outcomes)
        #expect(bench.embedder.embeddedTexts.count == texts.count)
        #expect(bench.embedder.change { $0.lanes } == [.bulk])
        #expect(try bench.counter("ovenbird_job_inputs_total", [("outcome", "embedded")]) == 1_000)
    }

    @Test func onePoisonTextOfFiveThousandCostsOneErrorAndNoNeighbour() async throws {
        let texts = Self.texts(5_000)
        let poison = texts[3_333]
        let bench = Bench()
        // The fault names the wrong place on purpose: a wrapper may not know better.
        bench.embedder.change { state in
            state.fault = { $0.contains(poison) ? .vectorNotFinite(index: 0) : nil }
        }
        bench.store.add(texts)
        try await bench.run { bench in
            await bench.reach { bench.store.isDone }
        }
        Self.expectVectors(of: texts, in: bench.store.outcomes, except: [3_333])
        let failed = bench.store.outcomes[3_333]
        guard case .failed(let error) = failed.kind else {
            Issue.record("\(failed) has not failed")
            return
        }
        #expect(error.code == "vector_not_finite")
        #expect(bench.store.segments.allSatisfy { $0.attempt == 1 })
        #expect(bench.embedder.embeddedTexts.count == 4_999)
        #expect(try bench.counter("ovenbird_job_inputs_total", [("outcome", "failed")]) == 1)
    }

    @Test func anOutageOfAMinuteCostsNoAttemptAndNoVector() async throws {
        let texts = Self.texts(1_000)
        let bench = Bench()
        bench.store.add(texts)
        let clock = bench.clock
        // It begins when two segments have been loaded, so both meet it when they are finished.
        bench.store.change { state in
            state.fault = { operation in
                operation == .finish && clock.elapsed < .seconds(60) ? .unavailable(details: "away") : nil
            }
        }
        try await bench.run { bench in
            await bench.reach { (bench.store.calls[.finish] ?? 0) >= 2 }
            bench.store.change { state in
                state.fault = { _ in clock.elapsed < .seconds(60) ? .unavailable(details: "away") : nil }
            }
            await bench.reach { bench.store.isDone }
            #expect(clock.elapsed >= .seconds(60))
        }
        Self.expectVectors(of: texts, in: bench.store.outcomes)
        #expect(bench.store.segments.allSatisfy { $0.attempt == 1 })
        #expect(bench.embedder.embeddedTexts.count == texts.count)
        // Nobody may say of the others that they are dead, before a lease has passed in peace.
        #expect(bench.store.change { $0.rescues }.isEmpty)
        // It asks again, but never in a tight loop: 60 s of a poller, a heart and two workers.
        let calls = bench.store.calls.values.reduce(0, +)
        #expect(calls < 250)
    }

    @Test func aReadOnlyDatabaseOnlyCostsTime() async throws {
        let texts = Self.texts(300)
        let bench = Bench()
        let clock = bench.clock
        bench.store.add(texts)
        bench.store.change { state in
            state.fault = { _ in clock.elapsed < .seconds(20) ? .notWritable(details: "disk full") : nil }
        }
        try await bench.run { bench in
            await bench.reach { bench.store.isDone }
        }
        Self.expectVectors(of: texts, in: bench.store.outcomes)
        #expect(bench.store.segments.allSatisfy { $0.attempt == 1 })
    }

    @Test func aFinishWhoseAnswerWasLostIsRepeatedAndChangesNothing() async throws {
        let texts = Self.texts(100)
        let bench = Bench()
        bench.store.add(texts)
        bench.store.change { $0.lostAnswers = 1 }
        try await bench.run { bench in
            await bench.reach { bench.store.segments.contains { $0.refusedFinishes == 1 } }
        }
        Self.expectVectors(of: texts, in: bench.store.outcomes)
        #expect(try bench.counter("ovenbird_job_lease_losses_total") == 0)
    }

    @Test func aLostLeaseEndsItsWorkAndNoOther() async throws {
        let bench = Bench()
        bench.store.add(Self.texts(512))
        bench.embedder.change { $0.hangs = { $0.contains { $0.hasPrefix("text 1 ") } } }
        try await bench.run { bench in
            await bench.reach { bench.store.segments[1].outcomes != nil }
            #expect(bench.store.segments[0].outcomes == nil)
            bench.store.change { state in
                if let token = state.segments[0].token { state.stolen.insert(token) }
            }
            await bench.reach { bench.embedder.change { $0.cancellationCount } == 1 }
            await bench.reach { (try? bench.counter("ovenbird_job_lease_losses_total")) == 1 }
        }
        #expect(bench.store.segments[0].outcomes == nil)
        #expect(bench.store.segments[0].refusedFinishes == 0)
        // It is somebody else's now.
        #expect(bench.store.calls[.giveBack] == nil)
    }

    @Test func aFullQueueIsWaitedForAndIsNoAttempt() async throws {
        let texts = Self.texts(300)
        let bench = Bench()
        let clock = bench.clock
        bench.embedder.change { state in
            state.fault = { _ in clock.elapsed < .seconds(45) ? .overloaded(retryAfter: .seconds(20)) : nil }
        }
        bench.store.add(texts)
        try await bench.run { bench in
            await bench.reach { bench.store.isDone }
            #expect(clock.elapsed >= .seconds(45))
        }
        Self.expectVectors(of: texts, in: bench.store.outcomes)
        #expect(bench.store.segments.allSatisfy { $0.attempt == 1 })
        // The lease was prolonged all the while.
        #expect((bench.store.calls[.extend] ?? 0) >= 4)
    }

    @Test func stoppingGivesSegmentsBackAtOnce() async throws {
        let bench = Bench()
        bench.store.add(Self.texts(1_000))
        bench.embedder.change { $0.hangs = { _ in true } }
        try await bench.run { bench in
            await bench.reach { (bench.store.calls[.load] ?? 0) == 2 }
        }
        #expect(bench.store.segments.allSatisfy { $0.token == nil && $0.attempt == 0 && $0.outcomes == nil })
        #expect(bench.store.calls[.giveBack] == 2)
        // No time was waited for.
        #expect(bench.clock.elapsed < .seconds(1))
    }

    @Test func anEmbedderThatStopsEndsTheWorkAndChargesNothing() async throws {
        let bench = Bench()
        bench.store.add(Self.texts(1_000))
        bench.embedder.change { $0.fault = { _ in .shuttingDown } }
        try await bench.run { bench in
            await bench.reach { (bench.store.calls[.giveBack] ?? 0) >= 1 }
        }
        #expect(bench.store.segments.allSatisfy { $0.token == nil && $0.attempt == 0 && $0.outcomes == nil })
        #expect((bench.store.calls[.claim] ?? 0) <= 2)
    }

    @Test func aFaultOfOursIsPostponedThenLeftToBeSplit() async throws {
        let bench = Bench { $0.workerCount = 1 }
        bench.store.add(["a text"])
        bench.store.change { state in
            state.fault = { $0 == .finish ? .internalFailure(details: "a fault") : nil }
        }
        try await bench.run { bench in
            await bench.reach { bench.store.segments[0].attempt == 3 && bench.store.calls[.finish] == 3 }
            // Nobody prolongs it any more.
            let extensions = bench.store.calls[.extend] ?? 0
            _ = await bench.clock.run(atMost: .seconds(40)) { false }
            let later = bench.store.calls[.extend] ?? 0
            #expect(later <= extensions + 1)
        }
        #expect(bench.store.change { $0.postponements }.count == 2)
        #expect(bench.store.calls[.giveBack] == nil)
        #expect(bench.store.segments[0].token != nil)
    }

    @Test func equalTextsOfAJobAreComputedOnce() async throws {
        // Every segment holds the same hundred texts, each twice.
        let texts = (0..<4_000).map { "text \($0 % 100)" }
        let bench = Bench { $0.workerCount = 4 }
        bench.store.add(texts, segmentSize: 200)
        // A real store answers what is stored as known; this one never does, so only what is in hand is shared.
        try await bench.run { bench in
            await bench.reach { bench.store.isDone }
        }
        for segment in bench.store.segments {
            let outcomes = try #require(segment.outcomes)
            let vectors = outcomes.map { outcome -> Embedding? in
                switch outcome.kind {
                case .embedded(let embedding), .deduplicated(let embedding): embedding
                case .sameAs(let index):
                    outcomes.first { $0.index == index }.flatMap {
                        if case .embedded(let embedding) = $0.kind { embedding } else { nil }
                    }
                case .failed: nil
                }
            }
            #expect(vectors == segment.inputs.map { ScriptedEmbedder.embedding(of: $0.text) })
        }
        // Of four segments in hand at least one other shares.
        #expect(bench.embedder.embeddedTexts.count < 2_000)
    }

    @Test func jobsNeverHoldMoreThanTheirShareOfTheEmbedder() async throws {
        let bench = Bench {
            $0.workerCount = 2
            $0.maximumTokensInEmbedder = 2_048
        }
        bench.store.add((0..<2_000).map { "\($0) " + String(repeating: "long ", count: $0 % 80) })
        try await bench.run { bench in
            await bench.reach { bench.store.isDone }
        }
        #expect(bench.embedder.change { $0.mostTokensInside } <= 2_048)
    }

    @Test func aBellMakesAnIdleRunnerLookAtOnce() async throws {
        let bench = Bench { $0.pollInterval = .seconds(3_000) }
        try await bench.run { bench in
            await bench.reach(atMost: .seconds(5)) { bench.store.calls[.claim] == 1 }
            bench.store.add(["new"])
            bench.bell.ring()
            let before = bench.clock.elapsed
            await bench.reach(atMost: .seconds(1)) { bench.store.isDone }
            #expect(bench.clock.elapsed - before < .seconds(1))
        }
    }

    @Test func anIdleRunnerPollsWithOneVoiceAndRescuesAfterALease() async throws {
        let bench = Bench { $0.workerCount = 16 }
        try await bench.run { bench in
            _ = await bench.clock.run(atMost: .seconds(29)) { false }
            #expect(bench.store.change { $0.rescues }.isEmpty)
            _ = await bench.clock.run(atMost: .seconds(31)) { false }
        }
        #expect((30...85).contains(bench.store.calls[.claim] ?? 0))
        let rescues = bench.store.change { $0.rescues }
        #expect((4...9).contains(rescues.count))
        #expect(rescues.allSatisfy { $0.minimumServerAge == .seconds(30) && $0.maximumAttempts == 3 })
    }
}
