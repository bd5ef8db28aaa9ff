import Batching
import Embeddings
import Foundation
import Inference
import MetricsTestKit
import Testing

/// The threads of a real encoder, helping each other.
struct GangEmbedderTests {
    private static func directory(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Golden/tiny-berts/\(name)").path(percentEncoded: false)
    }

    @Test func callersGetTheSameBitsWhoeverHelps() async throws {
        let model = try EncoderModel(directory: Self.directory("03"), precision: .bf16)
        let limit = min(64, model.maximumPositionEmbeddings)
        let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: limit)
        var random = SeededGenerator(seed: 11)
        let texts = (0..<30).map { _ in
            (0..<Int.random(in: 1...limit, using: &random)).map { _ in
                Int32.random(in: 0..<Int32(model.vocabularySize), using: &random)
            }
        }
        let expected = texts.map {
            model.encode(PaddedBatch([TokenSequence(ids: $0)]), layout: .packed, workspace: workspace)[0]
        }
        let metrics = TestMetrics()
        let embedder = LoneEmbedder.make(model, threads: 3, metrics: metrics)
        for callers in 1...4 {
            await withTaskGroup(of: Void.self) { group in
                for caller in 0..<callers {
                    group.addTask {
                        for round in 0..<100 {
                            let index = (caller * 7 + round) % texts.count
                            let embeddings = try? await embedder.embed(
                                EmbeddingRequest(inputs: [.tokens(texts[index])]))
                            #expect(embeddings?.map(\.vector) == [expected[index]])
                        }
                    }
                }
            }
        }
        #expect(await embedder.shutDown(deadline: .now.advanced(by: .seconds(30))))
        let passes = try metrics.expectCounter("ovenbird_passes_total").totalValue
        let shared = try metrics.expectCounter("ovenbird_gang_passes_total").totalValue
        #expect(shared > 0 && shared <= passes)
    }
}

enum LoneEmbedder {
    static func make(
        _ model: EncoderModel, threads: Int, members: Int = 4, metrics: TestMetrics = TestMetrics()
    ) -> BatchingEmbedder {
        var configuration = BatchingConfiguration()
        configuration.computeThreadCount = threads
        configuration.maximumGangMembers = members
        let limit = min(256, model.maximumPositionEmbeddings)
        let description = ModelDescription(
            name: "model", servedNames: [], dimensions: model.dimensions, maximumSequenceLength: limit,
            vocabularySize: model.vocabularySize, precision: model.precision,
            fingerprint: ModelFingerprint(bytes: Array(repeating: 0, count: 32)))
        return BatchingEmbedder(
            model: description, configuration: configuration,
            metrics: BatchingMetrics(
                layout: .packed, factory: metrics, operationCount: { Double($0.reduce(0, +)) }),
            paddingID: 0,
            tokenize: { input, _ throws(TokenizationRefusal) in
                switch input {
                case .text(let text): TokenSequence(ids: text.utf8.map { Int32($0) })
                case .tokens(let ids): TokenSequence(ids: ids)
                }
            },
            makeEncoder: {
                ModelEncoder(
                    model, layout: .packed, maximumTokenCount: 512, interludeTokenCount: 32,
                    maximumSequenceLength: limit)
            })
    }
}

/// What one text of 8 tokens takes from call to answer, on an idle server. Wants a machine that does nothing else:
///
///     OVENBIRD_BENCH=1 OVENBIRD_TEST_MODEL=DIR swift test -c release --filter LoneRequestBench
@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["OVENBIRD_BENCH"] == "1"
            && ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil), .serialized)
struct LoneRequestBench {
    @Test(.timeLimit(.minutes(5)))
    func aTextOfEightTokens() async throws {
        let directory = try #require(ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"])
        for precision in Precision.allCases {
            let exact = try EncoderModel(directory: directory)
            let calibration = exact.calibrate([TokenSequence(ids: (0..<128).map { 1_000 + 37 * $0 })])
            let model = try EncoderModel(
                directory: directory, precision: precision, instructionSet: InstructionSet.chosen(),
                calibration: precision == .int8 ? calibration : nil, sharing: exact.tables)
            let alone = LoneEmbedder.make(model, threads: 2, members: 1)
            let gang = LoneEmbedder.make(model, threads: 2)
            let request = EmbeddingRequest(inputs: [.tokens((0..<8).map { 1_000 + 37 * $0 })])
            var times: [[Double]] = [[], []]
            // A, B, A, B: so that what else the machine does meets both.
            for _ in 0..<400 {
                for (index, embedder) in [alone, gang].enumerated() {
                    let start = ContinuousClock.now
                    _ = try await embedder.embed(request)
                    times[index].append(start.duration(to: .now) / .microseconds(1))
                }
            }
            let figures = times.map { times in
                let sorted = times.sorted()
                return [("min", 0), ("p10", 0.1), ("p50", 0.5), ("p99", 0.99)].map {
                    "\($0) \(Int(sorted[Int($1 * Double(sorted.count))]))"
                }.joined(separator: " ")
            }
            print("\(precision), 8 tokens through the embedder, µs: no gang \(figures[0]), gang of two \(figures[1])")
            await alone.shutDown(deadline: .now.advanced(by: .seconds(10)))
            await gang.shutDown(deadline: .now.advanced(by: .seconds(10)))
        }
    }
}
