import Embeddings
import Foundation
import Inference
import Testing

/// A text's vector does not depend on its neighbours nor on the layout.
@Suite(.onOwnThread)
struct BatchInvarianceTests {
    /// Real sizes and long texts, where the model is at hand; BatchPropertyTests draw many more of small ones.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil))
    func aTextHasTheSameBitsInARealModel() throws {
        let directory = try #require(ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"])
        for precision in Precision.allCases {
            let model = try EncoderModel.calibrated(
                directory: directory, precision: precision, instructionSet: .best)
            try expectInvariance(of: model, lengths: [1, 4, 9, 16, 23, 42, 42, 64, 100, 129, 256])
        }
    }

    /// Another batch between any two steps of one, as an interlude is; neither disturbs the other.
    @Test(arguments: InstructionSet.available, Precision.allCases)
    func anInterludeLeavesAPassItsBits(instructionSet: InstructionSet, precision: Precision) throws {
        if instructionSet == .openblas, precision != .fp32 { return }
        for tiny in TinyBert.all.prefix(4) {
            let model = try EncoderModel.calibrated(
                directory: tiny.directory, precision: precision, instructionSet: instructionSet)
            let sequences = try tiny.sequences()
            let limit = sequences.map(\.ids.count).max() ?? 1
            func makeWorkspace() -> EncoderWorkspace {
                model.makeWorkspace(maximumTokenCount: limit * sequences.count, maximumSequenceLength: limit)
            }
            let (own, other) = (makeWorkspace(), makeWorkspace())
            for layout in BatchLayout.allCases {
                let (outer, inner) = (PaddedBatch(sequences), PaddedBatch([sequences[sequences.count - 1]]))
                let expected = model.encode(outer, layout: layout, workspace: own)
                let expectedInside = model.encode(inner, layout: layout, workspace: own)
                var callCount = 0
                let vectors = model.encode(outer, layout: layout, workspace: own) {
                    callCount += 1
                    #expect(model.encode(inner, layout: layout, workspace: other) == expectedInside)
                }
                #expect(vectors == expected, "\(tiny), \(layout)")
                #expect(callCount >= 3 * model.layerCount - 1)
            }
        }
    }

    private func expectInvariance(of model: EncoderModel, lengths: [Int]) throws {
        var random = SeededRandom(state: 7)
        let sequences = lengths.map { length in
            TokenSequence(
                ids: (0..<length).map { _ in Int32.random(in: 0..<Int32(model.vocabularySize), using: &random) })
        }
        let workspace = model.makeWorkspace(maximumTokenCount: 1_024, maximumSequenceLength: 256)
        let alone = sequences.map { model.encode(PaddedBatch([$0]), layout: .packed, workspace: workspace)[0] }
        for layout in BatchLayout.allCases {
            for _ in 0..<4 {
                let order = sequences.indices.shuffled(using: &random)
                // Some twice, so that places and passes shift.
                let picked = order + order.prefix(3)
                let vectors = model.encode(
                    PaddedBatch(picked.map { sequences[$0] }), layout: layout, workspace: workspace)
                for (place, index) in picked.enumerated() {
                    #expect(vectors[place] == alone[index], "\(layout), length \(lengths[index])")
                }
            }
        }
    }
}

/// SplitMix64: the same numbers on every run.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension EncoderModel {
    /// A model in any precision; for int8, random tokens tell what its layers' inputs look like.
    static func calibrated(
        directory: String, precision: Precision, instructionSet: InstructionSet
    ) throws -> EncoderModel {
        guard precision == .int8 else {
            return try EncoderModel(directory: directory, precision: precision, instructionSet: instructionSet)
        }
        let exact = try EncoderModel(directory: directory, instructionSet: instructionSet)
        var random = SeededRandom(state: 3)
        let sequences = (1...min(24, exact.maximumPositionEmbeddings)).map { length in
            TokenSequence(
                ids: (0..<length).map { _ in Int32.random(in: 0..<Int32(exact.vocabularySize), using: &random) })
        }
        return try EncoderModel(
            directory: directory, precision: .int8, instructionSet: instructionSet,
            calibration: exact.calibrate(sequences), sharing: exact.tables)
    }
}
