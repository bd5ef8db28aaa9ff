import Embeddings
import Jobs
import Testing

struct SegmentPlanTests {
    private let vectors = ["a", "b", "c"].map(ScriptedEmbedder.embedding)

    private func inputs(_ texts: [(String, KnownEmbedding?)]) -> [SegmentInput] {
        texts.enumerated().map { SegmentInput(index: 10 + $0, id: "\($0)", text: $1.0, known: $1.1) }
    }

    @Test func eachTextIsComputedOnceAndRepeatsReferToItWithinAJob() {
        let plan = SegmentPlan(inputs([("a", nil), ("b", nil), ("a", nil), ("a", nil)]), refersWithinJob: true)
        #expect(plan.texts == ["a", "b"])
        #expect(
            plan.outcomes([.computed(vectors[0]), .computed(vectors[1])]) == [
                InputOutcome(index: 10, kind: .embedded(vectors[0])),
                InputOutcome(index: 11, kind: .embedded(vectors[1])),
                InputOutcome(index: 12, kind: .sameAs(index: 10)),
                InputOutcome(index: 13, kind: .sameAs(index: 10)),
            ])
    }

    @Test func documentsHaveEachAVectorOfTheirOwn() {
        let plan = SegmentPlan(inputs([("a", nil), ("a", nil)]), refersWithinJob: false)
        #expect(
            plan.outcomes([.computed(vectors[0])]).map(\.kind) == [.embedded(vectors[0]), .deduplicated(vectors[0])])
    }

    @Test func whatIsKnownIsNotComputedEvenWhereOnlyOneOfTwoKnowsIt() {
        let known = inputs([("a", nil), ("a", .stored(vectors[0])), ("b", .sameJob(index: 3)), ("c", nil)])
        let plan = SegmentPlan(known, refersWithinJob: true)
        #expect(plan.texts == ["c"])
        #expect(
            plan.outcomes([.computed(vectors[2])]).map(\.kind) == [
                .deduplicated(vectors[0]), .deduplicated(vectors[0]), .sameAs(index: 3), .embedded(vectors[2]),
            ])
    }

    @Test func aTextThatFailedFailsForAllItsInputs() {
        let error = ItemError(code: "x", message: "y")
        let plan = SegmentPlan(inputs([("a", nil), ("a", nil)]), refersWithinJob: true)
        #expect(plan.outcomes([.failed(error)]).map(\.kind) == [.failed(error), .failed(error)])
    }

    @Test func anotherSegmentsVectorIsNeverReferredTo() {
        // That segment may lose its lease before it is stored.
        let plan = SegmentPlan(inputs([("a", nil), ("a", nil)]), refersWithinJob: true)
        #expect(
            plan.outcomes([.shared(vectors[0])]).map(\.kind) == [.deduplicated(vectors[0]), .deduplicated(vectors[0])])
    }
}

struct MicroBatchesTests {
    @Test(arguments: [1, 31, 32, 33, 256])
    func everyTextIsInOneBatchLongestFirst(count: Int) {
        let texts = (0..<count).map { String(repeating: "x", count: 1 + $0 * 7 % 50) }
        let batches = MicroBatches(texts, textLimit: 32, tokenLimit: 100_000, sequenceLimit: 256).batches
        #expect(batches.flatMap(\.places).sorted() == Array(texts.indices))
        let lengths = batches.flatMap(\.places).map { texts[$0].count }
        #expect(lengths == lengths.sorted(by: >))
        #expect(batches.dropLast().allSatisfy { $0.places.count == 32 })
    }

    @Test func aBatchKeepsItsTokenLimitUnlessItIsOneText() {
        let texts = (0..<100).map { String(repeating: "x", count: $0 * 10) }
        let batches = MicroBatches(texts, textLimit: 32, tokenLimit: 200, sequenceLimit: 256).batches
        #expect(batches.allSatisfy { $0.tokenBound <= 200 || $0.places.count == 1 })
        #expect(batches.allSatisfy { $0.tokenBound <= 256 })
    }
}

struct EmbeddingVerdictTests {
    @Test func onlyFaultsOfTextsMarkThem() {
        #expect(EmbeddingVerdict(.shuttingDown, textCount: 1) == .giveUp)
        #expect(EmbeddingVerdict(.cancelled, textCount: 1) == .giveUp)
        #expect(EmbeddingVerdict(.overloaded(retryAfter: .seconds(2)), textCount: 1) == .wait(.seconds(2)))
        #expect(EmbeddingVerdict(.overloaded(retryAfter: .seconds(120)), textCount: 1) == .wait(.seconds(5)))
    }

    @Test func aFaultIsHalvedUntilItIsAlone() {
        let fault = EmbeddingError.requestTooLarge(tokenCount: 9, limit: 5)
        #expect(EmbeddingVerdict(fault, textCount: 5) == .split([0..<2, 2..<5]))
        guard case .fail(let error) = EmbeddingVerdict(fault, textCount: 1) else {
            Issue.record("a single text does not fail")
            return
        }
        #expect(error.code == "input_too_large")
    }

    @Test func aFaultThatNamesItsTextIsCutOut() {
        let fault = { EmbeddingError.vectorNotFinite(index: $0) }
        #expect(EmbeddingVerdict(fault(0), textCount: 4) == .split([0..<1, 1..<4]))
        #expect(EmbeddingVerdict(fault(2), textCount: 4) == .split([0..<2, 2..<3, 3..<4]))
        #expect(EmbeddingVerdict(fault(9), textCount: 4) == .split([0..<2, 2..<4]))
    }
}

struct TextsUnderWayTests {
    private let first = SegmentLease(segment: 1, token: 1)
    private let second = SegmentLease(segment: 2, token: 2)
    private let key = TextsUnderWay.Key(role: .plain, text: "a")
    private let vector = ScriptedEmbedder.embedding(of: "a")

    @Test func oneComputesAndTheOtherTakesItsVector() {
        let texts = TextsUnderWay()
        #expect(texts.take([key], for: first) == [.own])
        #expect(texts.take([key], for: second) == [.other(nil)])
        texts.publish([(key, .success(vector))])
        texts.end(first)
        #expect(texts.take([key], for: second) == [.other(.success(vector))])
        texts.end(second)
        #expect(texts.count == 0)
    }

    @Test func theSameTextInAnotherRoleIsAnother() {
        let texts = TextsUnderWay()
        _ = texts.take([key], for: first)
        #expect(texts.take([TextsUnderWay.Key(role: .document, text: "a")], for: second) == [.own])
    }

    @Test func whoWaitsTakesOverWhatWasDropped() {
        let texts = TextsUnderWay()
        _ = texts.take([key], for: first)
        _ = texts.take([key], for: second)
        let changes = texts.changes.ringCount
        texts.end(first)
        #expect(texts.changes.ringCount > changes)
        #expect(texts.take([key], for: second) == [.own])
        texts.end(second)
        #expect(texts.count == 0)
    }

    @Test func aSegmentLoadedBeforeTheOtherWasStoredStillFindsItsVectors() {
        let texts = TextsUnderWay()
        texts.beginLoading(first)
        _ = texts.take([key], for: first)
        texts.beginLoading(second)
        texts.publish([(key, .success(vector))])
        texts.end(first)
        #expect(texts.take([key], for: second) == [.other(.success(vector))])
        texts.end(second)
        #expect(texts.count == 0)
    }

    @Test func nothingIsKeptForASegmentThatNeverAsks() {
        let texts = TextsUnderWay()
        texts.beginLoading(first)
        _ = texts.take([key], for: first)
        texts.beginLoading(second)
        texts.publish([(key, .success(vector))])
        texts.end(first)
        #expect(texts.count == 1)
        texts.end(second)
        #expect(texts.count == 0)
    }
}
