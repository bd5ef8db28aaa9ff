import Batching
import CoreMetrics
import Embeddings
import Foundation
import Inference
import MetricsTestKit
import Synchronization
import Testing

/// The threads, locks and continuations around the scheduler. The encoder is a closure whose vector names its text.
struct BatchingEmbedderTests {
    private static let model = ModelDescription(
        name: "lengths", servedNames: [], dimensions: 2, maximumSequenceLength: 64, vocabularySize: 1000,
        precision: .fp32, fingerprint: ModelFingerprint(bytes: Array(repeating: 0, count: 32)))

    /// A text's tokens are its bytes; ids from the vocabulary's size on are refused.
    private static let tokenize: BatchingEmbedder.Tokenize = { input, _ throws(TokenizationRefusal) in
        switch input {
        case .text(let text):
            return TokenSequence(ids: text.utf8.prefix(64).map { Int32($0) }, isTruncated: text.utf8.count > 64)
        case .tokens(let ids):
            if let bad = ids.first(where: { $0 >= 1000 }) { throw TokenizationRefusal(tokenID: bad) }
            return TokenSequence(ids: ids)
        }
    }

    /// (length, sum of the ids).
    private static func encode(_ batch: PaddedBatch) -> [EmbeddingVector] {
        (0..<batch.count).map { row in
            let ids = batch.ids[row * batch.width..<row * batch.width + Int(batch.lengths[row])]
            return EmbeddingVector([Float(ids.count), Float(ids.reduce(0, +))])
        }
    }

    private typealias Encode = (PaddedBatch) -> [EmbeddingVector]

    /// Encodes by a closure, and cannot help.
    private struct ClosureEncoder: BatchEncoder {
        let body: Encode

        func encode(_ batch: PaddedBatch, gang: Gang?, betweenSteps: () -> Void) -> [EmbeddingVector] {
            betweenSteps()
            return body(batch)
        }

        func encodeInterlude(_ batch: PaddedBatch) -> [EmbeddingVector] { body(batch) }

        func help(_ gang: Gang, recall: Recall) {}
    }

    private func makeEmbedder(
        metrics: any MetricsFactory = TestMetrics(), layout: BatchLayout = .packed,
        makeEncoder: @escaping @Sendable () -> Encode = { encode },
        configure: (inout BatchingConfiguration) -> Void = { _ in }
    ) -> BatchingEmbedder {
        var configuration = BatchingConfiguration()
        configuration.computeThreadCount = 2
        configuration.tokenizerThreadCount = 2
        configure(&configuration)
        return BatchingEmbedder(
            model: Self.model, configuration: configuration,
            metrics: BatchingMetrics(
                layout: layout, factory: metrics, operationCount: { Double($0.reduce(0, +)) }),
            paddingID: 0, tokenize: Self.tokenize,
            makeEncoder: { ClosureEncoder(body: makeEncoder()) })
    }

    private func soon() -> ContinuousClock.Instant { .now.advanced(by: .seconds(30)) }

    @Test func manyCallersGetTheirOwnVectors() async throws {
        let embedder = makeEmbedder()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<40 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(caller))
                    for _ in 0..<10 {
                        let inputs = (0..<Int.random(in: 1...20, using: &random)).map { _ in
                            (0..<Int.random(in: 1...64, using: &random)).map { _ in
                                Int32.random(in: 0..<1000, using: &random)
                            }
                        }
                        let embeddings = try await embedder.embed(
                            EmbeddingRequest(
                                inputs: inputs.map { .tokens($0) }, lane: caller % 3 == 0 ? .bulk : .interactive))
                        #expect(
                            embeddings.map(\.vector.values)
                                == inputs.map { [Float($0.count), Float($0.reduce(0, +))] })
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(await embedder.shutDown(deadline: soon()))
        #expect(embedder.load.admittedTokenCount == 0)
    }

    @Test func batchesOfFirstComeFirstServedRunWhenTheirWaitIsOver() async throws {
        let embedder = makeEmbedder(configure: {
            $0.mode = .firstComeFirstServed(batchSize: 1000, wait: .milliseconds(1))
        })
        let embeddings = try await embedder.embed(EmbeddingRequest(inputs: [.text("a"), .text("bcd")]))
        #expect(embeddings.map(\.tokenCount) == [1, 3])
        await embedder.shutDown(deadline: soon())
    }

    @Test func eachComputeThreadMakesOneEncoder() async throws {
        let made = Mutex(0)
        let embedder = makeEmbedder(makeEncoder: {
            made.withLock { $0 += 1 }
            return Self.encode
        })
        for _ in 0..<20 { _ = try await embedder.embed(EmbeddingRequest(inputs: [.text("a")])) }
        await embedder.shutDown(deadline: soon())
        #expect(made.withLock { $0 } == 2)
    }

    @Test func refusalsNameTheInput() async {
        let embedder = makeEmbedder()
        let long = String(repeating: "x", count: 65)
        await #expect(throws: EmbeddingError.inputTooLong(index: 1, limit: 64)) {
            try await embedder.embed(EmbeddingRequest(inputs: [.text("a"), .text(long)], truncation: .none))
        }
        await #expect(throws: EmbeddingError.invalidToken(index: 2, id: 1000, vocabularySize: 1000)) {
            try await embedder.embed(EmbeddingRequest(inputs: [.text("a"), .text(long), .tokens([5, 1000])]))
        }
        await embedder.shutDown(deadline: soon())
        await #expect(throws: EmbeddingError.shuttingDown) {
            try await embedder.embed(EmbeddingRequest(inputs: [.text("a")]))
        }
    }

    @Test func notFiniteVectorIsNotHandedOut() async {
        let embedder = makeEmbedder(makeEncoder: {
            { batch in
                Self.encode(batch).map { $0.values[0] == 13 ? EmbeddingVector([1, .nan]) : $0 }
            }
        })
        let bad = String(repeating: "x", count: 13)
        await #expect(throws: EmbeddingError.vectorNotFinite(index: 1)) {
            try await embedder.embed(EmbeddingRequest(inputs: [.text("a"), .text(bad), .text("b")]))
        }
        await embedder.shutDown(deadline: soon())
    }

    @Test func emptyRequestHasNoEmbeddings() async throws {
        let embedder = makeEmbedder()
        #expect(try await embedder.embed(EmbeddingRequest(inputs: [])).isEmpty)
        await embedder.shutDown(deadline: soon())
    }

    /// One compute thread is held inside a pass, so that what is cancelled behind it surely waits.
    @Test func cancelledWorkIsNotComputed() async throws {
        let metrics = TestMetrics()
        let computed = Mutex<[Int32]>([])
        let isHeld = Latch(), mayGoOn = DispatchSemaphore(value: 0)
        let embedder = makeEmbedder(
            metrics: metrics,
            makeEncoder: {
                { batch in
                    computed.withLock { $0 += batch.lengths }
                    if batch.lengths.contains(1) {
                        isHeld.open()
                        mayGoOn.wait()
                    }
                    return Self.encode(batch)
                }
            }, configure: { $0.computeThreadCount = 1 })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await embedder.embed(EmbeddingRequest(inputs: [.text("x")])) }
            await isHeld.wait()
            let cancelled = Task { try await embedder.embed(EmbeddingRequest(inputs: [.text("to be cancelled")])) }
            while embedder.load.waitingCount == 0 { await Task.yield() }
            cancelled.cancel()
            await #expect(throws: EmbeddingError.cancelled) { try await cancelled.value }
            #expect(embedder.load.waitingCount == 0)
            mayGoOn.signal()
            try await group.waitForAll()
        }
        // Cancelled before it begins.
        let early = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await embedder.embed(EmbeddingRequest(inputs: [.text("to be cancelled")]))
        }
        early.cancel()
        await #expect(throws: EmbeddingError.cancelled) { try await early.value }
        await embedder.shutDown(deadline: soon())
        #expect(computed.withLock { $0 } == [1])
        let dropped = try metrics.expectCounter("ovenbird_texts_cancelled_total", [("phase", "waiting")])
        #expect(dropped.totalValue == 1)
    }

    @Test func cancellationRacesEndOnce() async {
        let embedder = makeEmbedder()
        await withTaskGroup(of: Void.self) { group in
            for round in 0..<300 {
                group.addTask {
                    let call = Task {
                        try await embedder.embed(
                            EmbeddingRequest(inputs: [.text("some"), .text("texts"), .text("or others")]))
                    }
                    for _ in 0..<round % 50 { await Task.yield() }
                    call.cancel()
                    switch await call.result {
                    case .success(let embeddings): #expect(embeddings.map(\.tokenCount) == [4, 5, 9])
                    case .failure(let error): #expect(error as? EmbeddingError == .cancelled)
                    }
                }
            }
        }
        #expect(await embedder.shutDown(deadline: soon()))
        #expect(embedder.load.admittedTokenCount == 0)
    }

    @Test func drainFinishesWhatWasTakenAndGivesUpAtItsDeadline() async throws {
        let isHeld = Latch(), mayGoOn = DispatchSemaphore(value: 0)
        let embedder = makeEmbedder(
            makeEncoder: {
                { batch in
                    isHeld.open()
                    mayGoOn.wait()
                    return Self.encode(batch)
                }
            }, configure: { $0.computeThreadCount = 1 })
        async let answer = embedder.embed(EmbeddingRequest(inputs: [.text("held")]))
        await isHeld.wait()
        async let isDrained = embedder.shutDown(deadline: .now)
        // The deadline passed: the caller hears of it while the pass is still under way.
        do {
            _ = try await answer
            Issue.record("an answer came out of a held pass")
        } catch {
            #expect(error as? EmbeddingError == .shuttingDown)
        }
        mayGoOn.signal()
        #expect(await isDrained == false)
    }

    @Test func metricsCountWhatRan() async throws {
        let metrics = TestMetrics()
        let embedder = makeEmbedder(metrics: metrics, layout: .padded, configure: { $0.computeThreadCount = 1 })
        let long = String(repeating: "x", count: 100)
        _ = try await embedder.embed(
            EmbeddingRequest(inputs: [.text("abcd"), .text("abcdef"), .text(long)], lane: .bulk))
        await embedder.shutDown(deadline: soon())
        func count(_ label: String, _ dimensions: [(String, String)] = []) throws -> Int64 {
            try metrics.expectCounter("ovenbird_" + label, dimensions).totalValue
        }
        #expect(try count("passes_total") == 2)
        #expect(try metrics.expectRecorder("ovenbird_pass_sequences").values == [2, 1])
        #expect(try count("tokens_total", [("kind", "real")]) == 74)
        #expect(try count("tokens_total", [("kind", "rectangle")]) == 76)
        #expect(try count("tokens_total", [("kind", "computed")]) == 76)
        #expect(try count("operations_total") == 74)
        #expect(try count("texts_truncated_total") == 1)
        #expect(try count("texts_admitted_total", [("lane", "bulk")]) == 3)
        #expect(try metrics.expectTimer("ovenbird_stage_seconds", [("stage", "queue")]).values.count == 3)
        #expect(try metrics.expectTimer("ovenbird_stage_seconds", [("stage", "compute")]).values.count == 2)
        #expect(try metrics.expectTimer("ovenbird_stage_seconds", [("stage", "tokenize")]).values.count == 1)
    }
}
