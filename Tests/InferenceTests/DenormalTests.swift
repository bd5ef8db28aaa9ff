import Embeddings
import Inference
import Testing

/// A pass counts denormal numbers as zero, and nothing else does: threads inherit that setting from the thread that makes
/// them, and a stored half below 6e-5 is a denormal on its way to a float.
struct DenormalTests {
    @Test func aPassLeavesTheThreadsArithmeticAsItWas() throws {
        let model = try EncoderModel(directory: TinyBert.all[0].directory)
        let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 16)
        #expect(halved(Float.leastNormalMagnitude) > 0)
        _ = model.encode(PaddedBatch([TokenSequence(ids: [1, 2, 3])]), layout: .packed, workspace: workspace)
        #expect(halved(Float.leastNormalMagnitude) > 0)
    }

    /// At run time: the compiler would fold it.
    @inline(never)
    private func halved(_ value: Float) -> Float {
        value * Float([0.5, 0.25].max() ?? 0)
    }
}
