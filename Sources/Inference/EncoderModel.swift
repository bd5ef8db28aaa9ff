#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A BERT encoder with its pooling, in float32. Immutable once loaded: every compute thread shares one.
package final class EncoderModel: Sendable {
    let configuration: EncoderConfiguration
    let weights: EncoderWeights
    let kernels: Kernels
    /// Which instructions the element-wise kernels and attention use.
    package let instructionSet: InstructionSet
    package let pooling: Pooling
    /// Whether vectors leave with unit length.
    package let normalizes: Bool
    /// Whether pooling covers a prompt's tokens; where not, `TokenSequence.unpooledPrefix` counts them.
    package let includesPrompt: Bool

    /// Reads `config.json`, `model.safetensors`, `modules.json` and the pooling module's `config.json`. The weights are
    /// copied, so the folder may change or go afterwards. Without `modules.json`: mean pooling, no normalisation, as
    /// sentence-transformers does.
    ///
    /// The environment's `OVENBIRD_ISA` (`plain`, `avx2`, `avx512`) chooses the instructions; else the best there are.
    package convenience init(directory: String) throws(ModelError) {
        var instructionSet = InstructionSet.best
        if let name = getenv("OVENBIRD_ISA").map({ String(cString: $0) }), !name.isEmpty {
            guard let chosen = InstructionSet(rawValue: name), InstructionSet.available.contains(chosen) else {
                throw .unsupported(
                    file: "environment", field: "OVENBIRD_ISA", value: "\"\(name)\"",
                    supported: InstructionSet.available.map(\.rawValue).joined(separator: ", "))
            }
            instructionSet = chosen
        }
        try self.init(directory: directory, instructionSet: instructionSet)
    }

    /// - Precondition: this processor has the instructions.
    package init(directory: String, instructionSet: InstructionSet) throws(ModelError) {
        guard let kernels = Kernels(instructionSet) else {
            preconditionFailure("this processor lacks \(instructionSet.rawValue)")
        }
        self.kernels = kernels
        self.instructionSet = instructionSet
        let configuration = try EncoderConfiguration(directory: directory)
        let modules = try SentenceModules(directory: directory, hiddenSize: configuration.hiddenSize)
        self.configuration = configuration
        weights = try EncoderWeights(directory: directory, configuration: configuration)
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
    package var parameterCount: Int { weights.parameterCount }
    /// Memory that the weights take, in float32.
    package var weightByteCount: Int { weights.arena.count * 4 }

    /// Scratch memory for one compute thread, made for batches of up to `maximumTokenCount` tokens (of the rectangle in
    /// the padded layout) in sequences of up to `maximumSequenceLength`.
    package func makeWorkspace(maximumTokenCount: Int, maximumSequenceLength: Int) -> EncoderWorkspace {
        let workspace = EncoderWorkspace()
        let width = max(1, min(maximumSequenceLength, maximumPositionEmbeddings))
        workspace.reserve(rowCount: max(width, min(maximumTokenCount, Self.passRowCount)), width: width, for: self)
        return workspace
    }

    /// The rows that the buffers of a pass over `rowCount` rows need.
    func computedRowCount(for rowCount: Int) -> Int {
        guard let layer = weights.layers.first else { return rowCount }
        return [layer.qkv, layer.attentionOutput, layer.intermediate, layer.output]
            .reduce(rowCount) { max($0, $1.computedRowCount(for: rowCount)) }
    }
}
