package import Embeddings
package import Inference

/// What a compute thread encodes with; made on its thread, and stays there.
package protocol BatchEncoder {
    /// One vector a sequence, in the batch's order.
    ///
    /// - Parameter gang: where other threads may help; nil: the calling thread is alone.
    func encode(_ batch: PaddedBatch, gang: Gang?) -> [EmbeddingVector]

    /// Helps another thread until its passes are done or this one is called back.
    func help(_ gang: Gang, recall: Recall)
}

/// A model, and the scratch memory of one thread.
package struct ModelEncoder: BatchEncoder {
    private let model: EncoderModel
    private let layout: BatchLayout
    private let workspace: EncoderWorkspace

    /// Takes memory for batches of up to `maximumTokenCount` tokens in sequences of up to `maximumSequenceLength`.
    package init(_ model: EncoderModel, layout: BatchLayout, maximumTokenCount: Int, maximumSequenceLength: Int) {
        self.model = model
        self.layout = layout
        workspace = model.makeWorkspace(
            maximumTokenCount: maximumTokenCount, maximumSequenceLength: maximumSequenceLength)
    }

    package func encode(_ batch: PaddedBatch, gang: Gang?) -> [EmbeddingVector] {
        model.encode(batch, layout: layout, workspace: workspace, gang: gang)
    }

    package func help(_ gang: Gang, recall: Recall) {
        gang.help(workspace: workspace, recall: recall)
    }
}
