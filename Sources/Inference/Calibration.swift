package import Embeddings

/// What the inputs of the dense layers look like over some texts: what int8 needs to know to share its 256 steps well.
package struct Calibration: Sendable {
    /// Of one layer's input columns, over all tokens.
    struct Columns: Sendable {
        private(set) var count = 0
        private(set) var sums: [Float]
        private(set) var squares: [Float]
        private(set) var lows: [Float]
        private(set) var highs: [Float]

        init(width: Int) {
            sums = Array(repeating: 0, count: width)
            squares = sums
            lows = Array(repeating: .infinity, count: width)
            highs = Array(repeating: -.infinity, count: width)
        }

        mutating func observe(_ rows: Rows, rowCount: Int) {
            count += rowCount
            for row in 0..<rowCount {
                let values = rows.pointer(toRow: row).assumingMemoryBound(to: Float.self)
                for column in sums.indices {
                    let value = values[column]
                    sums[column] += value
                    squares[column] += value * value
                    lows[column] = min(lows[column], value)
                    highs[column] = max(highs[column], value)
                }
            }
        }

        func mean(_ column: Int) -> Float { sums[column] / Float(max(1, count)) }
        /// The greatest distance from the mean.
        func reach(_ column: Int) -> Float { max(highs[column] - mean(column), mean(column) - lows[column]) }
    }

    struct Layer: Sendable {
        var qkv: Columns
        var intermediate: Columns
        var output: Columns
    }

    private(set) var layers: [Layer]

    init(layerCount: Int, hiddenSize: Int, intermediateSize: Int) {
        let layer = Layer(
            qkv: Columns(width: hiddenSize), intermediate: Columns(width: hiddenSize),
            output: Columns(width: intermediateSize))
        layers = Array(repeating: layer, count: layerCount)
    }

    mutating func observe(_ columns: WritableKeyPath<Layer, Columns>, of layer: Int, _ rows: Rows, rowCount: Int) {
        layers[layer][keyPath: columns].observe(rows, rowCount: rowCount)
    }
}

extension EncoderModel {
    /// Runs the texts, and keeps what its layers' inputs looked like.
    ///
    /// - Precondition: the model is fp32.
    package func calibrate(_ sequences: [TokenSequence]) -> Calibration {
        precondition(precision == .fp32)
        var calibration = Calibration(
            layerCount: layerCount, hiddenSize: hiddenSize, intermediateSize: intermediateSize)
        let workspace = makeWorkspace(maximumTokenCount: Self.passRowCount, maximumSequenceLength: 1)
        for sequence in sequences {
            let batch = PaddedBatch([sequence])
            let pass = Pass(model: self, batch: batch, sequences: 0..<1, layout: .packed, workspace: workspace)
            var crew = Crew(workspace: workspace)
            Kernels.flushingDenormals {
                pass.walk(&crew) { layer, columns, rows in
                    calibration.observe(columns, of: layer, rows, rowCount: sequence.ids.count)
                }
            }
        }
        return calibration
    }
}
