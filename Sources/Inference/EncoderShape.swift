package import Embeddings

/// An encoder as its folder describes it, and the memory that follows from that: no weight is read.
package struct EncoderShape: Sendable {
    private let configuration: EncoderConfiguration
    private let kernels: Kernels
    /// Which kernels it is to run on.
    package let instructionSet: InstructionSet
    /// Whether pooling covers a prompt's tokens.
    package let includesPrompt: Bool

    /// Reads `config.json`, `modules.json` and the pooling module's `config.json`.
    ///
    /// - Precondition: this processor has the instructions.
    package init(directory: String, instructionSet: InstructionSet) throws(ModelError) {
        guard let kernels = Kernels(instructionSet) else {
            preconditionFailure("this processor lacks \(instructionSet.rawValue)")
        }
        let configuration = try EncoderConfiguration(directory: directory)
        includesPrompt = try SentenceModules(directory: directory, hiddenSize: configuration.hiddenSize).includesPrompt
        self.configuration = configuration
        self.kernels = kernels
        self.instructionSet = instructionSet
    }

    package var dimensions: Int { configuration.hiddenSize }
    package var intermediateSize: Int { configuration.intermediateSize }
    package var layerCount: Int { configuration.layerCount }
    package var vocabularySize: Int { configuration.vocabularySize }
    package var maximumPositionEmbeddings: Int { configuration.maximumPositionEmbeddings }
    package var parameterCount: Int { configuration.weightCount }

    /// Rows that walk through all layers together, where no text is longer: a larger batch is walked in parts.
    package static var passRowCount: Int { EncoderModel.passRowCount }

    // MARK: Weights

    /// Word and position rows, in float32: (vocabulary + positions, hidden).
    package var tableByteCounts: [Int] {
        [vocabularySize, maximumPositionEmbeddings].map { $0 * dimensions * MemoryLayout<Float>.stride }
    }

    /// Norms and packed dense layers.
    package func layerByteCount(in precision: Precision) -> Int {
        WeightPacker.byteCount(configuration, kernels, precision)
    }

    /// What reading the largest layer takes beside the place where it ends: its part of the file, and the same in
    /// float32; and once more, where int8 puts its inputs into another order.
    package func readingByteCount(in precision: Precision) -> Int {
        let largest = max(3 * dimensions, intermediateSize) * dimensions * MemoryLayout<Float>.stride
        // The feed-forward layers of int8 stand in memory together.
        return largest * (precision == .int8 ? 4 : 2)
    }

    // MARK: Scratch

    /// Scratch of one token's row while it walks through the layers: what one more token of a pass costs.
    package func rowByteCount(in precision: Precision) -> Int {
        let stored = precision.storedValueByteCount
        var widths = [
            columnCount(of: dimensions) * MemoryLayout<Float>.stride,  // hidden states
            columnCount(of: 3 * dimensions) * stored,  // queries, keys, values
            (dimensions + 1) * stored,  // what attention mixed
            columnCount(of: intermediateSize) * stored,  // the feed-forward layer's inner row
        ]
        // What a norm leaves for a layer that does not read float32.
        if precision != .fp32 { widths.append((dimensions + 3) * precision.inputValueByteCount) }
        if precision == .int8 {
            widths.append(intermediateSize + 3)
            widths.append(2 * Quantization.tailCount(of: dimensions))
        }
        return widths.reduce(0) { $0 + ($1 + 63) / 64 * 64 }
    }

    /// What `EncoderModel.makeWorkspace` makes for one compute thread.
    package func workspaceByteCount(
        in precision: Precision, maximumTokenCount: Int, maximumSequenceLength: Int
    ) -> Int {
        let width = max(1, min(maximumSequenceLength, maximumPositionEmbeddings))
        let rows = max(width, min(maximumTokenCount, Self.passRowCount))
        let padded = (rows + kernels.rowMultiple - 1) / kernels.rowMultiple * kernels.rowMultiple
        let ranges = precision == .int8 ? padded * MemoryLayout<QuantizedRange>.stride : 0
        return padded * rowByteCount(in: precision) + max(64, ranges)
            + max(64, attentionByteCount(width: width))
    }

    /// Scratch of attention over a text of so many tokens; one head at a time, however many there are.
    package func attentionByteCount(width: Int) -> Int {
        Kernels.attentionScratchByteCount(keyCount: width, headSize: configuration.headSize)
    }

    private func columnCount(of outputs: Int) -> Int {
        kernels.panelCount(outputs: outputs) * kernels.panelWidth
    }
}
