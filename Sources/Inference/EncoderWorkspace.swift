/// One compute thread's scratch memory for `EncoderModel.encode`. Not to be shared: one thread uses it, one call at a time.
///
/// Grows only when a pass needs more than it was made for; a warm `encode` allocates nothing but its result.
package final class EncoderWorkspace {
    /// (rows, hidden): the residual stream.
    var hidden: FloatBuffer
    /// (rows, 3 · hidden)
    var qkv: FloatBuffer
    /// (rows, hidden): what attention mixed.
    var context: FloatBuffer
    /// (rows, hidden): the residual stream between attention and the feed-forward layers.
    var attended: FloatBuffer
    /// (rows, intermediate)
    var intermediate: FloatBuffer
    var attentionScratch: FloatBuffer

    init() {
        hidden = FloatBuffer(count: 0)
        qkv = FloatBuffer(count: 0)
        context = FloatBuffer(count: 0)
        attended = FloatBuffer(count: 0)
        intermediate = FloatBuffer(count: 0)
        attentionScratch = FloatBuffer(count: 0)
    }

    /// Bytes of all buffers.
    package var byteCount: Int {
        4 * (hidden.count + qkv.count + context.count + attended.count + intermediate.count + attentionScratch.count)
    }

    /// Makes room for a pass of `rowCount` rows in sequences of up to `width` rows.
    func reserve(rowCount: Int, width: Int, for model: EncoderModel) {
        let hiddenSize = model.hiddenSize
        let rows = model.computedRowCount(for: rowCount)
        Self.grow(&hidden, to: rows * hiddenSize)
        Self.grow(&qkv, to: rows * 3 * hiddenSize)
        Self.grow(&context, to: rows * hiddenSize)
        Self.grow(&attended, to: rows * hiddenSize)
        Self.grow(&intermediate, to: rows * model.configuration.intermediateSize)
        Self.grow(
            &attentionScratch,
            to: Kernels.attentionScratchCount(queryCount: width, headSize: model.configuration.headSize))
    }

    private static func grow(_ buffer: inout FloatBuffer, to count: Int) {
        if buffer.count < count { buffer = FloatBuffer(count: count) }
    }
}
