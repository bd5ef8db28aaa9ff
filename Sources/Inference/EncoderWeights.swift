import Embeddings

/// The rows that token ids and positions stand for, in float32; one copy serves every precision of a model.
package final class EmbeddingTables: Sendable {
    /// (vocabulary, hidden)
    let words: AlignedBuffer
    /// (positions, hidden), the vector of token type 0 added: every token has that type.
    let positions: AlignedBuffer

    init(words: consuming AlignedBuffer, positions: consuming AlignedBuffer) {
        self.words = words
        self.positions = positions
    }

    var byteCount: Int { words.byteCount + positions.byteCount }
}

/// The weights of all layers in one arena, packed for one instruction set.
struct EncoderWeights: ~Copyable, Sendable {
    struct Layer {
        /// Queries, keys and values as one layer: 3 · hidden outputs. Queries leave it multiplied by log2(e)/√head size, so
        /// that softmax is made of powers of two.
        let qkv: DenseLayer
        let attentionOutput: DenseLayer
        let attentionNorm: Norm
        let intermediate: DenseLayer
        let output: DenseLayer
        let outputNorm: Norm
    }

    let arena: AlignedBuffer
    let tables: EmbeddingTables
    let embeddingNorm: Norm
    let layers: [Layer]

    /// - Parameter tables: those of the same folder in another precision; else they are read as well.
    init(
        directory: String, configuration: EncoderConfiguration, kernels: Kernels, precision: Precision,
        calibration: Calibration?, tables: EmbeddingTables?
    ) throws(ModelError) {
        let file = try WeightFile(directory: directory, configuration: configuration)
        // Before any memory is taken: neither a hostile configuration nor a file with other things in it decides alone.
        try file.check()
        let ownTables: EmbeddingTables
        if let tables { ownTables = tables } else { ownTables = try file.tables() }
        var packer = WeightPacker(
            configuration: configuration, kernels: kernels, precision: precision, calibration: calibration)
        let embeddingNorm = try packer.norm("embeddings.LayerNorm", of: file)
        var layers: [Layer] = []
        var inputNorm = embeddingNorm
        for index in 0..<configuration.layerCount {
            let layer = try packer.layer(index, of: file, inputNorm: inputNorm)
            inputNorm = layer.outputNorm
            layers.append(layer)
        }
        self.tables = ownTables
        self.embeddingNorm = embeddingNorm
        self.layers = layers
        arena = packer.finish()
    }
}
