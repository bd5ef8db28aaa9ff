import Embeddings
import Inference
import Testing

/// What is predicted of an encoder's memory is what the encoder then takes, to the byte.
struct EncoderShapeTests {
    private struct Case {
        let model: TinyBert
        let instructionSet: InstructionSet
        let precision: Precision

        static func all() -> [Case] {
            TinyBert.all.flatMap { model in
                InstructionSet.available.flatMap { instructionSet in
                    Precision.allCases.filter { $0 == .fp32 || instructionSet != .openblas }.map {
                        Case(model: model, instructionSet: instructionSet, precision: $0)
                    }
                }
            }
        }

        func encoder() throws -> EncoderModel {
            let exact = try EncoderModel(
                directory: model.directory, precision: .fp32, instructionSet: instructionSet)
            guard precision != .fp32 else { return exact }
            return try EncoderModel(
                directory: model.directory, precision: precision, instructionSet: instructionSet,
                calibration: precision == .int8 ? exact.calibrate(try model.sequences()) : nil,
                sharing: exact.tables)
        }
    }

    @Test func workspacesAndWeightsAreForetoldToTheByte() throws {
        for testCase in Case.all() {
            let encoder = try testCase.encoder()
            let shape = try EncoderShape(
                directory: testCase.model.directory, instructionSet: testCase.instructionSet)
            let precision = testCase.precision
            for (tokens, width) in [(1, 1), (7, 3), (64, 16), (191, 33), (192, 64), (512, 512), (4_096, 1_000_000)] {
                let workspace = encoder.makeWorkspace(maximumTokenCount: tokens, maximumSequenceLength: width)
                #expect(
                    workspace.byteCount
                        == shape.workspaceByteCount(
                            in: precision, maximumTokenCount: tokens, maximumSequenceLength: width),
                    "\(testCase), \(tokens) tokens, width \(width)")
            }
            #expect(
                encoder.weightByteCount
                    == shape.layerByteCount(in: precision) + shape.tableByteCounts.reduce(0) { $0 + max(64, $1) },
                "\(testCase)")
        }
    }

    @Test func theShapeIsTheModels() throws {
        for model in TinyBert.all {
            let encoder = try EncoderModel(directory: model.directory)
            let shape = try EncoderShape(directory: model.directory, instructionSet: encoder.instructionSet)
            #expect(shape.dimensions == encoder.dimensions && shape.layerCount == encoder.layerCount)
            #expect(shape.vocabularySize == encoder.vocabularySize)
            #expect(shape.maximumPositionEmbeddings == encoder.maximumPositionEmbeddings)
            #expect(shape.intermediateSize == encoder.intermediateSize)
            #expect(shape.parameterCount == encoder.parameterCount)
            #expect(shape.includesPrompt == encoder.includesPrompt)
        }
    }

    /// Beyond the rows that walk together a larger batch costs no scratch.
    @Test func scratchStopsGrowingAtThePassRows() throws {
        let shape = try EncoderShape(directory: TinyBert.all[0].directory, instructionSet: .plain)
        func bytes(_ tokens: Int) -> Int {
            shape.workspaceByteCount(in: .fp32, maximumTokenCount: tokens, maximumSequenceLength: 8)
        }
        let rows = EncoderShape.passRowCount
        #expect(bytes(rows + 1) == bytes(rows) && bytes(1 << 20) == bytes(rows))
        #expect(bytes(100) - bytes(99) == shape.rowByteCount(in: .fp32))
    }

    @Test func aMissingFileIsNamed() throws {
        let spoilt = try SpoiltModel()
        try spoilt.remove("config.json")
        let failure = #expect(throws: ModelError.self) {
            try EncoderShape(directory: spoilt.directory, instructionSet: .plain)
        }
        #expect(try #require(failure).description.hasPrefix("config.json: "))
    }
}
