package import Embeddings
package import Inference

/// What a compute thread encodes with; made on its thread, and stays there.
package protocol BatchEncoder {
    /// One vector a sequence, in the batch's order.
    ///
    /// - Parameters:
    ///   - gang: where other threads may help; nil: the calling thread is alone.
    ///   - betweenSteps: called on the calling thread, some times a pass.
    func encode(_ batch: PaddedBatch, gang: Gang?, betweenSteps: () -> Void) -> [EmbeddingVector]

    /// The same, called from `betweenSteps`.
    func encodeInterlude(_ batch: PaddedBatch) -> [EmbeddingVector]

    /// Helps another thread until its passes are done or this one is called back.
    func help(_ gang: Gang, recall: Recall)
}

/// A model, and the scratch memory of one thread: of its pass, and of one between two steps of that.
package struct ModelEncoder: BatchEncoder {
    private let model: EncoderModel
    private let layout: BatchLayout
    private let workspace: EncoderWorkspace
    private let interludeWorkspace: EncoderWorkspace

    /// Takes memory for batches of up to `maximumTokenCount` tokens, and interludes of up to `interludeTokenCount`, in
    /// sequences of up to `maximumSequenceLength`.
    package init(
        _ model: EncoderModel, layout: BatchLayout, maximumTokenCount: Int, interludeTokenCount: Int,
        maximumSequenceLength: Int
    ) {
        self.model = model
        self.layout = layout
        workspace = model.makeWorkspace(
            maximumTokenCount: maximumTokenCount, maximumSequenceLength: maximumSequenceLength)
        interludeWorkspace = model.makeWorkspace(
            maximumTokenCount: interludeTokenCount, maximumSequenceLength: maximumSequenceLength)
    }

    package func encode(_ batch: PaddedBatch, gang: Gang?, betweenSteps: () -> Void) -> [EmbeddingVector] {
        model.encode(batch, layout: layout, workspace: workspace, gang: gang, betweenSteps: betweenSteps)
    }

    package func encodeInterlude(_ batch: PaddedBatch) -> [EmbeddingVector] {
        model.encode(batch, layout: layout, workspace: interludeWorkspace)
    }

    package func help(_ gang: Gang, recall: Recall) {
        gang.help(workspace: workspace, recall: recall)
    }
}
