import Batching
import Embeddings
import Foundation
import Inference
import MetricsTestKit
import Synchronization
import Testing

/// Compute threads that hang or end in the middle of a pass.
struct SupervisionTests {
    private func makeBench() -> SchedulerBench {
        SchedulerBench {
            $0.computeThreadCount = 2
            $0.lostThreadTimeout = .seconds(10)
        }
    }

    @Test func aThreadThatIsNotHeardOfIsReplacedAndItsPassRunOnceMore() throws {
        var bench = makeBench()
        let (id, _) = bench.submit([20, 21])
        let lost = try bench.neededPass(thread: 1)
        let began = bench.now
        bench.advance(.seconds(10))
        #expect(bench.state.inspect(beats: [began, began], now: bench.now).replacements.isEmpty)
        #expect(bench.state.isSound == true)
        bench.advance(.milliseconds(1))
        let action = bench.state.inspect(beats: [began, began], now: bench.now)
        #expect(action.replacements == [1])
        #expect(action.answers.isEmpty)
        #expect(bench.state.isSound == false)
        let retry = try bench.neededPass(thread: 0)
        #expect(retry.entries == lost.entries && retry.attempt == 1)
        #expect(bench.state.isSound == false)
        #expect(bench.end(retry).answers.map(\.request) == [id])
        // Sound once the new thread was heard of, too.
        #expect(bench.state.isSound == false)
        #expect(bench.pass(thread: 1) == nil)
        #expect(bench.state.isSound == true)
        // What the lost one brings after all is not wanted.
        #expect(bench.end(lost).answers.isEmpty)
        #expect(bench.state.admittedTokenCount == 0)
    }

    @Test func aPassThatIsLostTwiceFailsItsCallers() throws {
        var bench = makeBench()
        let (failing, _) = bench.submit([2, 3])
        let (other, _) = bench.submit(texts: [bench.text(ofLength: 4)], failurePolicy: .perInput)
        _ = try bench.neededPass(thread: 0)
        let began = bench.now
        bench.advance(.seconds(11))
        _ = bench.state.inspect(beats: [began, began], now: bench.now)
        let retry = try bench.neededPass(thread: 1)
        bench.advance(.seconds(11))
        let action = bench.state.inspect(beats: [bench.now, began], now: bench.now)
        #expect(action.replacements == [1])
        #expect(action.answers.map(\.request) == [failing, other])
        #expect(action.answers.first?.result == .failure(.computeFailed(index: 0)))
        #expect(try action.answers.last?.result.get().results == [.failure(.computeFailed(index: 0))])
        #expect(bench.end(retry).answers.isEmpty)
        #expect(bench.pass(thread: 0) == nil && bench.pass(thread: 1) == nil)
        #expect(bench.state.isSound == true)
    }

    @Test func whatNobodyWantsAnyMoreIsNotRunOnceMore() throws {
        var bench = makeBench()
        let (id, _) = bench.submit([20])
        _ = try bench.neededPass(thread: 0)
        let began = bench.now
        bench.advance(.seconds(11))
        _ = bench.state.inspect(beats: [began, began], now: bench.now)
        _ = bench.state.cancel(id)
        #expect(bench.pass(thread: 0) == nil)
        #expect(bench.state.isSound == true)
    }

    @Test func whoHelpsALostThreadIsCalledBackAndOneThatHangsIsLostToo() throws {
        var bench = makeBench()
        bench.submit([20])
        let pass = try bench.neededPass(thread: 1)
        #expect(pass.gangLeader == 1)
        guard case .help(leader: 1, _) = bench.state.nextPass(thread: 0, now: bench.now) else {
            Issue.record("nobody helps")
            return
        }
        let began = bench.now
        bench.advance(.seconds(11))
        let action = bench.state.inspect(beats: [began, began], now: bench.now)
        #expect(action.replacements == [0, 1])
        let retry = try bench.neededPass(thread: 0)
        #expect(retry.entries == pass.entries)
    }

    @Test func aThreadThatWaitsIsNotMissed() {
        var bench = makeBench()
        let began = bench.now
        #expect(bench.pass(thread: 0) == nil)
        bench.advance(.seconds(100))
        #expect(bench.state.inspect(beats: [began, began], now: bench.now).replacements.isEmpty)
    }

    /// An encoder that hangs on a text the first time it sees it.
    private struct HangingEncoder: BatchEncoder {
        let hangs: @Sendable (PaddedBatch) -> Bool
        let release: DispatchSemaphore

        func encode(_ batch: PaddedBatch, gang: Gang?, betweenSteps: () -> Void) -> [EmbeddingVector] {
            if hangs(batch) { release.wait() }
            return batch.lengths.map { EmbeddingVector([Float($0)]) }
        }

        func encodeInterlude(_ batch: PaddedBatch) -> [EmbeddingVector] { [] }
        func help(_ gang: Gang, recall: Recall) {}
    }

    @Test(.timeLimit(.minutes(1)))
    func callersOfAHangingThreadAreAnsweredByAnother() async throws {
        var configuration = BatchingConfiguration()
        configuration.computeThreadCount = 1
        configuration.lostThreadTimeout = .milliseconds(20)
        let isFirst = Mutex(true)
        let release = DispatchSemaphore(value: 0)
        let metrics = TestMetrics()
        let embedder = BatchingEmbedder(
            model: ModelDescription(
                name: "hangs", servedNames: [], dimensions: 1, maximumSequenceLength: 64, vocabularySize: 1000,
                precision: .fp32, fingerprint: ModelFingerprint(bytes: Array(repeating: 0, count: 32))),
            configuration: configuration,
            metrics: BatchingMetrics(
                layout: .packed, factory: metrics, operationCount: { Double($0.reduce(0, +)) }),
            paddingID: 0,
            tokenize: { input, _ throws(TokenizationRefusal) in
                if case .text(let text) = input { return TokenSequence(ids: text.utf8.map { Int32($0) }) }
                return TokenSequence(ids: [1])
            },
            makeEncoder: {
                HangingEncoder(
                    hangs: { _ in
                        isFirst.withLock { first in
                            defer { first = false }
                            return first
                        }
                    }, release: release)
            })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await embedder.supervise() }
            let embeddings = try await embedder.embed(EmbeddingRequest(inputs: [.text("abc")]))
            #expect(embeddings.map(\.vector.values) == [[3]])
            #expect(try await embedder.embed(EmbeddingRequest(inputs: [.text("abcd")])).count == 1)
            group.cancelAll()
        }
        #expect(embedder.isReady)
        #expect(try metrics.expectCounter("ovenbird_lost_threads_total").totalValue == 1)
        #expect(try metrics.expectCounter("ovenbird_repeated_passes_total").totalValue == 1)
        release.signal()
        #expect(await embedder.shutDown(deadline: .now.advanced(by: .seconds(30))))
    }
}
