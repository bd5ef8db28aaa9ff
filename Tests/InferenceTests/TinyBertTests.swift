import Embeddings
import Inference
import Testing

@Suite(.onOwnThread)
struct TinyBertTests {
    @Test(arguments: TinyBert.all, BatchLayout.allCases)
    func agreesWithPyTorch(bert: TinyBert, layout: BatchLayout) throws {
        let sequences = try bert.sequences()
        let expected = try bert.expected()
        let largest = expected.reduce(0) { max($0, $1.magnitude) }
        for instructionSet in InstructionSet.available {
            let model = try EncoderModel(directory: bert.directory, instructionSet: instructionSet)
            let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 64)
            let vectors = model.encode(PaddedBatch(sequences), layout: layout, workspace: workspace)
            let values = vectors.flatMap(\.values)
            #expect(values.count == expected.count && values.count == sequences.count * model.dimensions)
            let worst = zip(values, expected).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
            #expect(worst <= 2e-5 * largest, "\(instructionSet): \(worst) of \(largest)")
        }
    }

    @Test func describesItself() throws {
        let model = try EncoderModel(directory: TinyBert.all[4].directory)
        #expect(model.hiddenSize == 33 && model.dimensions == 33 && model.layerCount == 4 && model.headCount == 1)
        #expect(model.vocabularySize == 101 && model.maximumPositionEmbeddings == 96 && model.intermediateSize == 99)
        #expect(model.pooling == .cls && model.normalizes && !model.includesPrompt && model.activation == .gelu)
        // Tables, then 4 layers: 4 square and 2 rectangular matrices, their biases, two norms.
        let layer = 4 * 33 * 33 + 2 * 33 * 99 + 9 * 33 + 99
        #expect(model.parameterCount == (101 + 96 + 1 + 2) * 33 + 4 * layer)
        #expect(model.weightByteCount >= model.parameterCount * 4)
    }

    @Test func aWarmWorkspaceDoesNotGrow() throws {
        let bert = TinyBert.all[5]
        let model = try EncoderModel(directory: bert.directory)
        let batch = PaddedBatch(try bert.sequences())
        let workspace = model.makeWorkspace(
            maximumTokenCount: batch.rectangleTokenCount, maximumSequenceLength: batch.width)
        let made = workspace.byteCount
        _ = model.encode(batch, layout: .padded, workspace: workspace)
        _ = model.encode(batch, layout: .packed, workspace: workspace)
        #expect(workspace.byteCount == made)
    }

    /// One poisoned text shows, and no neighbour of it does.
    @Test func valuesThatAreNotFiniteStayInTheirText() throws {
        let spoilt = try SpoiltModel(TinyBert.all[1])
        // Word 7 of 17 values becomes infinity; words stand behind the header at their offset.
        var bytes = try spoilt.read("model.safetensors")
        let header = String(decoding: bytes[8..<8 + Int(bytes[0]) + Int(bytes[1]) << 8], as: UTF8.self)
        let entry = try #require(header.firstRange(of: "embeddings.word_embeddings.weight"))
        let offset = try #require(header[entry.upperBound...].firstRange(of: "data_offsets\":["))
        let start = try #require(Int(header[offset.upperBound...].prefix { $0.isNumber }))
        let place = 8 + header.utf8.count + start + 7 * 17 * 4
        bytes.replaceSubrange(place..<place + 4, with: [0, 0, 0x80, 0x7F])
        try spoilt.write("model.safetensors", bytes)
        let model = try EncoderModel(directory: spoilt.directory)
        let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 64)
        let batch = PaddedBatch([
            TokenSequence(ids: [1, 2, 3]), TokenSequence(ids: [1, 7, 3]), TokenSequence(ids: [4]),
        ])
        for layout in BatchLayout.allCases {
            let finite = model.encode(batch, layout: layout, workspace: workspace).map {
                $0.values.allSatisfy(\.isFinite)
            }
            #expect(finite == [true, false, true])
        }
    }
}
