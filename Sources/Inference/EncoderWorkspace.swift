import Embeddings

/// One compute thread's scratch memory for `EncoderModel.encode`. Not to be shared: one thread uses it, one call at a time.
///
/// Grows only when a pass needs more than it was made for; a warm `encode` allocates nothing but its result.
package final class EncoderWorkspace {
    /// (rows, hidden), float32: the residual stream.
    private(set) var hidden: Matrix
    /// (rows, hidden): what a norm, or attention, leaves for an int8 or bfloat16 layer.
    private(set) var input: Matrix
    /// (rows, 3 · hidden)
    private(set) var qkv: Matrix
    /// (rows, hidden): what attention mixed.
    private(set) var context: Matrix
    /// (rows, intermediate)
    private(set) var intermediate: Matrix
    /// (rows, intermediate) bytes, for an int8 output layer.
    private(set) var quantized: Matrix
    /// (rows, hidden / 48), bfloat16: what a norm leaves for an int8 layer's tail.
    private(set) var tail: Matrix
    /// One a row.
    private(set) var ranges: AlignedBuffer
    private(set) var attentionScratch: AlignedBuffer

    init(_ model: EncoderModel) {
        let (precision, layer) = (model.precision, model.weights.layers.first)
        func outputs(_ layer: DenseLayer?, _ valueByteCount: Int) -> Int {
            (layer?.columnCount ?? model.hiddenSize) * valueByteCount
        }
        let stored = precision.storedValueByteCount
        hidden = Matrix(rowByteCount: outputs(layer?.output, 4))
        input = Matrix(rowByteCount: precision == .fp32 ? 0 : (model.hiddenSize + 3) * precision.inputValueByteCount)
        qkv = Matrix(rowByteCount: outputs(layer?.qkv, stored))
        context = Matrix(rowByteCount: (model.hiddenSize + 1) * stored)
        intermediate = Matrix(rowByteCount: outputs(layer?.intermediate, stored))
        quantized = Matrix(rowByteCount: precision == .int8 ? model.intermediateSize + 3 : 0)
        tail = Matrix(
            rowByteCount: precision == .int8 ? 2 * Quantization.tailCount(of: model.hiddenSize) : 0)
        ranges = AlignedBuffer(byteCount: 0)
        attentionScratch = AlignedBuffer(byteCount: 0)
    }

    /// Bytes of all buffers.
    package var byteCount: Int {
        hidden.byteCount + input.byteCount + qkv.byteCount + context.byteCount + intermediate.byteCount
            + quantized.byteCount + tail.byteCount + ranges.byteCount + attentionScratch.byteCount
    }

    /// Makes room for a pass of `rowCount` rows in sequences of up to `width` rows.
    func reserve(rowCount: Int, width: Int, for model: EncoderModel) {
        let multiple = model.kernels.rowMultiple
        let rows = (rowCount + multiple - 1) / multiple * multiple
        hidden.reserve(rowCount: rows)
        input.reserve(rowCount: rows)
        qkv.reserve(rowCount: rows)
        context.reserve(rowCount: rows)
        intermediate.reserve(rowCount: rows)
        quantized.reserve(rowCount: rows)
        tail.reserve(rowCount: rows)
        let rangeByteCount = rows * MemoryLayout<QuantizedRange>.stride
        if model.precision == .int8, ranges.byteCount < rangeByteCount {
            ranges = AlignedBuffer(byteCount: rangeByteCount)
        }
        let scratch = Kernels.attentionScratchByteCount(keyCount: width, headSize: model.configuration.headSize)
        if attentionScratch.byteCount < scratch { attentionScratch = AlignedBuffer(byteCount: scratch) }
    }

    /// Where a pass finds its rows: all of the leader's workspace that its helpers see.
    struct Places {
        let hidden: Rows
        let input: Rows
        let qkv: Rows
        let context: Rows
        let intermediate: Rows
        let quantized: Rows
        let tail: Rows
        let ranges: UnsafeMutablePointer<QuantizedRange>

        /// Where a dense layer finds what a norm left.
        func normed(for precision: Precision) -> LayerInput {
            switch precision {
            case .fp32: LayerInput(rows: hidden)
            case .bf16: LayerInput(rows: input)
            case .int8: LayerInput(rows: input, ranges: ranges, tail: tail)
            }
        }
    }

    /// Until the workspace grows.
    var places: Places {
        Places(
            hidden: hidden.rows, input: input.rows, qkv: qkv.rows, context: context.rows,
            intermediate: intermediate.rows, quantized: quantized.rows, tail: tail.rows,
            ranges: ranges.base.assumingMemoryBound(to: QuantizedRange.self))
    }
}
