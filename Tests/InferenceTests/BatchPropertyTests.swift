import Embeddings
import Foundation
import Inference
import Synchronization
import Testing

/// The same text has the same bits alone, in any batch, at any position, in both layouts and on any thread: ten
/// thousand random batches on the best instructions, and some on each of the others.
@Suite(.onOwnThread)
struct BatchPropertyTests {
    /// Several heads, several layers, odd sizes, a tail for int8.
    private static let models = [0, 2, 3, 4, 10]

    @Test(arguments: Precision.allCases)
    func tenThousandRandomBatches(precision: Precision) throws {
        // 3,335 batches in each precision, if the optimiser is on.
        for index in Self.models {
            let property = try BatchProperty(
                .calibrated(directory: TinyBert.all[index].directory, precision: precision, instructionSet: .best),
                longest: 40)
            #expect(property.check(batchCount: 1_334 / sweepStep, threadCount: 4) == 0, "model \(index)")
        }
    }

    @Test(arguments: InstructionSet.available.filter { $0 != .best })
    func otherInstructionsKeepBitsToo(instructionSet: InstructionSet) throws {
        for precision in Precision.allCases where precision == .fp32 || instructionSet != .openblas {
            for index in Self.models {
                let property = try BatchProperty(
                    .calibrated(
                        directory: TinyBert.all[index].directory, precision: precision, instructionSet: instructionSet),
                    longest: 24)
                #expect(
                    property.check(batchCount: 48 / sweepStep, threadCount: 2) == 0, "model \(index) in \(precision)")
            }
        }
    }

    /// The same on real sizes, where the model is at hand.
    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil), arguments: Precision.allCases)
    func randomBatchesOfARealModel(precision: Precision) throws {
        let directory = try #require(ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"])
        let property = try BatchProperty(
            .calibrated(directory: directory, precision: precision, instructionSet: .best), longest: 60)
        #expect(property.check(batchCount: 60, threadCount: 2) == 0)
    }

    /// A comparison that would not notice proves nothing: one bit of one value must show.
    @Test func aBitThatDiffersShows() throws {
        let property = try BatchProperty(
            .calibrated(directory: TinyBert.all[0].directory, precision: .fp32, instructionSet: .best), longest: 24)
        property.flipABit()
        #expect(property.check(batchCount: 50, threadCount: 2) > 0)
    }
}

/// A model, some texts and the vectors that they have alone.
private final class BatchProperty {
    private let model: EncoderModel
    private let texts: [TokenSequence]
    private var alone: [[Float]]

    init(_ model: EncoderModel, longest: Int) {
        self.model = model
        var random = SeededRandom(state: 23)
        let longest = min(longest, model.maximumPositionEmbeddings)
        texts = (0..<32).map { index in
            let length = index < 4 ? index + 1 : Int.random(in: 1...longest, using: &random)
            return TokenSequence(
                ids: (0..<length).map { _ in Int32.random(in: 0..<Int32(model.vocabularySize), using: &random) },
                unpooledPrefix: index % 4)
        }
        let workspace = model.makeWorkspace(maximumTokenCount: longest, maximumSequenceLength: longest)
        alone = texts.map { model.encode(PaddedBatch([$0]), layout: .packed, workspace: workspace)[0].values }
    }

    func flipABit() {
        alone[7][3] = Float(bitPattern: alone[7][3].bitPattern ^ 1)
    }

    /// How many vectors of random batches have other bits than the text alone has. Each thread draws its own batches.
    func check(batchCount: Int, threadCount: Int) -> Int {
        let (model, texts, alone) = (model, texts, alone)
        let wrong = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
            var random = SeededRandom(state: UInt64(thread))
            // Made for one token: it grows, and stays warm.
            let workspace = model.makeWorkspace(maximumTokenCount: 1, maximumSequenceLength: 1)
            var found = 0
            for _ in stride(from: thread, to: batchCount, by: threadCount) {
                // Mostly a few texts; now and then more rows than one pass takes.
                let count = Int.random(in: 0..<16, using: &random) == 0 ? 24 : Int.random(in: 1...6, using: &random)
                let picked = (0..<count).map { _ in Int.random(in: 0..<texts.count, using: &random) }
                let vectors = model.encode(
                    PaddedBatch(picked.map { texts[$0] }), layout: Bool.random(using: &random) ? .packed : .padded,
                    workspace: workspace)
                for (vector, index) in zip(vectors, picked) {
                    let isSame = zip(vector.values, alone[index]).allSatisfy { $0.bitPattern == $1.bitPattern }
                    if !isSame || vector.values.count != alone[index].count { found += 1 }
                }
            }
            wrong.withLock { $0 += found }
        }
        return wrong.withLock { $0 }
    }
}
