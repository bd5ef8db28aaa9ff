import Embeddings
import Inference
import Testing

struct PaddedBatchTests {
    @Test func padsToTheLongestSequence() {
        let batch = PaddedBatch(
            [TokenSequence(ids: [1, 2, 3]), TokenSequence(ids: [4], unpooledPrefix: 1)], paddingID: 9)
        #expect(batch.ids == [1, 2, 3, 4, 9, 9])
        #expect(batch.mask == [1, 1, 1, 1, 0, 0])
        #expect(batch.lengths == [3, 1])
        #expect(batch.unpooledPrefixes == [0, 1])
        #expect(batch.tokenCount == 4 && batch.rectangleTokenCount == 6)
    }
}
