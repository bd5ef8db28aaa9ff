package import Embeddings

/// A BERT encoder with its pooling, in one precision. Immutable once loaded: every compute thread shares one.
package final class EncoderModel: Sendable {
    let configuration: EncoderConfiguration
    let weights: EncoderWeights
    let kernels: Kernels
    /// Which kernels it runs on.
    package let instructionSet: InstructionSet
    /// What the dense layers compute with.
    package let precision: Precision
    package let pooling: Pooling
    /// Whether vectors leave with unit length.
    package let normalizes: Bool
    /// Whether pooling covers a prompt's tokens; where not, `TokenSequence.unpooledPrefix` counts them.
    package let includesPrompt: Bool

    /// On the instructions that the environment chooses, else the best there are.
    package convenience init(directory: String, precision: Precision = .fp32) throws(ModelError) {
        try self.init(directory: directory, precision: precision, instructionSet: try InstructionSet.chosen())
    }

    /// Reads `config.json`, `model.safetensors`, `modules.json` and the pooling module's `config.json`. The weights are
    /// copied, so the folder may change or go afterwards. Without `modules.json`: mean pooling, no normalisation, as
    /// sentence-transformers does.
    ///
    /// - Parameters:
    ///   - precision: any that there is, fast on this processor or not; OpenBLAS has float32 alone.
    ///   - calibration: what int8 needs; nil for the others.
    ///   - tables: those of the same folder's model in another precision, to be shared.
    /// - Precondition: this processor has the instructions.
    package init(
        directory: String, precision: Precision = .fp32, instructionSet: InstructionSet,
        calibration: Calibration? = nil, sharing tables: EmbeddingTables? = nil
    ) throws(ModelError) {
        guard let kernels = Kernels(instructionSet) else {
            preconditionFailure("this processor lacks \(instructionSet.rawValue)")
        }
        precondition(precision == .fp32 || instructionSet != .openblas, "OpenBLAS has no \(precision)")
        self.kernels = kernels
        self.instructionSet = instructionSet
        let configuration = try EncoderConfiguration(directory: directory)
        let modules = try SentenceModules(directory: directory, hiddenSize: configuration.hiddenSize)
        self.configuration = configuration
        self.precision = precision
        weights = try EncoderWeights(
            directory: directory, configuration: configuration, kernels: kernels, precision: precision,
            calibration: calibration, tables: tables)
        pooling = modules.pooling
        normalizes = modules.normalizes
        includesPrompt = modules.includesPrompt
    }

    package var hiddenSize: Int { configuration.hiddenSize }
    /// Values of a vector.
    package var dimensions: Int { configuration.hiddenSize }
    package var vocabularySize: Int { configuration.vocabularySize }
    /// Tokens that a sequence may have, special tokens included.
    package var maximumPositionEmbeddings: Int { configuration.maximumPositionEmbeddings }
    package var layerCount: Int { configuration.layerCount }
    package var headCount: Int { configuration.headCount }
    package var intermediateSize: Int { configuration.intermediateSize }
    package var activation: Activation { configuration.activation }
    /// Weights that the encoder uses.
    package var parameterCount: Int { configuration.weightCount }
    /// What models of the same folder in other precisions can share.
    package var tables: EmbeddingTables { weights.tables }
    /// Memory that the weights take: tables in float32, layers in the model's precision.
    package var weightByteCount: Int { weights.tables.byteCount + weights.arena.byteCount }

    /// Scratch memory for one compute thread, made for batches of up to `maximumTokenCount` tokens (of the rectangle in
    /// the padded layout) in sequences of up to `maximumSequenceLength`.
    package func makeWorkspace(maximumTokenCount: Int, maximumSequenceLength: Int) -> EncoderWorkspace {
        let workspace = EncoderWorkspace(self)
        let width = max(1, min(maximumSequenceLength, maximumPositionEmbeddings))
        workspace.reserve(rowCount: max(width, min(maximumTokenCount, Self.passRowCount)), width: width, for: self)
        return workspace
    }
}
