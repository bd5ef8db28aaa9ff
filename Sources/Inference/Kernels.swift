import CKernels
import Embeddings

/// One dense layer's place in the weights, packed for one instruction set. Offsets are bytes in the arena.
struct DenseLayer {
    let precision: Precision
    let inputs: Int
    let outputs: Int
    /// Four-byte steps of an input row.
    let stepCount: Int
    let panelCount: Int
    let panelWidth: Int
    let panels: Int
    let bias: Int
    /// int8: each output's scale, and scale · sum of its weights.
    let scales: Int
    let sums: Int

    var columnCount: Int { panelCount * panelWidth }
    var panelByteCount: Int { stepCount * columnCount * 4 }
}

/// A layer norm's place in the weights, in bytes.
struct Norm {
    let gamma: Int
    let beta: Int
    /// What takes gamma's place in the copy that an int8 layer reads; 0 where none does.
    let quantizedGamma: Int
}

/// What becomes of a dense layer's product.
enum Epilogue {
    case store
    /// Added to the rows that stand where the result goes, in float32.
    case add
    case activate(Activation)
}

/// The one door to C: every method checks its shapes, then makes one call.
struct Kernels: @unchecked Sendable {
    /// `@unchecked`: points to a constant of the C library.
    private let table: UnsafePointer<ek_kernels>

    /// Nil where this processor lacks the instructions.
    init?(_ instructionSet: InstructionSet) {
        guard let table = instructionSet.table else { return nil }
        _ = OpenBLAS.configuration
        self.table = table
    }

    var panelWidth: Int { Int(table.pointee.panel_width) }
    /// Matrices that dense layers read have room for a multiple of so many rows.
    var rowMultiple: Int { Int(table.pointee.row_multiple) }

    func panelCount(outputs: Int) -> Int { Int(ek_panel_count(table, Int32(outputs))) }

    static func stepCount(_ precision: Precision, inputs: Int) -> Int {
        Int(ek_step_count(precision.kernelPrecision, Int32(inputs)))
    }

    /// out: rows `row..<row + count` = word rows at `ids` + position rows `0..<count`, all of `width` floats.
    func embed(
        _ ids: UnsafeBufferPointer<Int32>, from tables: borrowing EmbeddingTables, to out: Rows, row: Int, width: Int
    ) {
        precondition(row + ids.count <= out.capacity && width * 4 <= out.stride)
        guard let base = ids.baseAddress else { return }
        let positions = tables.positions.floats(at: 0, count: ids.count * width)
        let words = tables.words.floats(at: 0, count: width)
        ek_embed_f32(
            out.pointer(toRow: row).assumingMemoryBound(to: Float.self), Int64(out.stride), words, positions, base,
            Int32(ids.count), Int32(width))
    }

    /// Some panels' columns of rows `0..<rowCount` of `out`, from all columns of `input`.
    func apply(
        _ layer: DenseLayer, of arena: borrowing AlignedBuffer, panels: Range<Int>, to input: Rows,
        ranges: UnsafePointer<ek_range>?, into out: Rows, _ epilogue: Epilogue, isNarrow: Bool, rowCount: Int
    ) {
        let rows = (rowCount + rowMultiple - 1) / rowMultiple * rowMultiple
        precondition(rows <= input.capacity && rowCount <= out.capacity && layer.stepCount * 4 <= input.stride)
        precondition(layer.columnCount * (isNarrow ? 2 : 4) <= out.stride)
        precondition(panels.lowerBound >= 0 && panels.upperBound <= layer.panelCount)
        precondition(layer.precision != .int8 || ranges != nil)
        let count = layer.columnCount
        var dense = ek_dense(
            precision: layer.precision.kernelPrecision, step_count: Int32(layer.stepCount),
            panel_count: Int32(layer.panelCount),
            panels: arena.floats(at: layer.panels, count: layer.panelByteCount / 4),
            bias: arena.floats(at: layer.bias, count: count),
            scales: layer.precision == .int8 ? UnsafePointer(arena.floats(at: layer.scales, count: count)) : nil,
            sums: layer.precision == .int8 ? UnsafePointer(arena.floats(at: layer.sums, count: count)) : nil)
        var operands = ek_dense_rows(
            in: input.base, in_stride: Int64(input.stride), ranges: ranges, out: out.base,
            out_stride: Int64(out.stride), residual: nil, epilogue: isNarrow ? ek_store_bf16 : ek_store_f32,
            activation: ek_relu)
        switch epilogue {
        case .store: break
        case .add:
            precondition(!isNarrow)
            operands.epilogue = ek_add_f32
            operands.residual = UnsafePointer(out.base.assumingMemoryBound(to: Float.self))
        case .activate(let activation):
            operands.epilogue = isNarrow ? ek_activate_bf16 : ek_activate_f32
            operands.activation = activation.kernelActivation
        }
        table.pointee.dense(&dense, &operands, Int32(rowCount), Int32(panels.lowerBound), Int32(panels.count))
    }

    /// In place over some rows; a copy in the precision that the next layer reads, unless that is float32.
    func layerNorm(
        _ norm: Norm, of arena: borrowing AlignedBuffer, epsilon: Float, width: Int, _ rows: Rows, range: Range<Int>,
        copy: Rows?, ranges: UnsafeMutablePointer<ek_range>?, precision: Precision
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows.capacity && width * 4 <= rows.stride)
        var parameters = ek_norm(
            gamma: arena.floats(at: norm.gamma, count: width), beta: arena.floats(at: norm.beta, count: width),
            quantized_gamma: precision == .int8
                ? UnsafePointer(arena.floats(at: norm.quantizedGamma, count: width)) : nil,
            epsilon: epsilon, width: Int32(width))
        let to = copy.flatMap { copy -> UnsafeMutableRawPointer? in
            precondition(range.upperBound <= copy.capacity && width * precision.inputValueByteCount <= copy.stride)
            return precision == .fp32 ? nil : copy.pointer(toRow: range.lowerBound)
        }
        precondition(to == nil || precision != .int8 || ranges != nil)
        table.pointee.layer_norm(
            rows.pointer(toRow: range.lowerBound).assumingMemoryBound(to: Float.self), Int64(rows.stride), &parameters,
            to, Int64(copy?.stride ?? 0), ranges.map { $0 + range.lowerBound }, precision.kernelPrecision,
            Int32(range.count))
    }

    /// Bytes of some rows of bfloat16, each with its range; columns multiplied by their factors first.
    func quantize(
        _ input: Rows, range: Range<Int>, width: Int, factors: UnsafePointer<Float>?, into out: Rows,
        ranges: UnsafeMutablePointer<ek_range>
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= min(input.capacity, out.capacity))
        precondition(width * 2 <= input.stride && width <= out.stride)
        table.pointee.quantize_bf16(
            out.pointer(toRow: range.lowerBound).assumingMemoryBound(to: UInt8.self), Int64(out.stride),
            ranges + range.lowerBound,
            input.pointer(toRow: range.lowerBound).assumingMemoryBound(to: UInt16.self), Int64(input.stride), factors,
            Int32(range.count), Int32(width))
    }

    /// Some heads of the sequence whose rows are `row..<row + queryCount`; the first `keyCount` of them are its tokens.
    /// A row of qkv holds q, k and v of all heads.
    func attend(
        _ qkv: Rows, row: Int, queryCount: Int, keyCount: Int, heads: Range<Int>, headCount: Int, headSize: Int,
        precision: Precision, into out: Rows, scratch: borrowing AlignedBuffer
    ) {
        let width = headCount * headSize * precision.storedValueByteCount
        precondition(keyCount >= 1 && row >= 0 && row + max(queryCount, keyCount) <= min(qkv.capacity, out.capacity))
        precondition(3 * width <= qkv.stride && width <= out.stride)
        precondition(heads.lowerBound >= 0 && heads.upperBound <= headCount)
        precondition(scratch.byteCount >= Self.attentionScratchByteCount(keyCount: keyCount, headSize: headSize))
        let first = qkv.pointer(toRow: row)
        var sequence = ek_attention(
            precision: precision == .fp32 ? ek_f32 : ek_bf16, q: first, k: first + width, v: first + 2 * width,
            stride: Int64(qkv.stride), out: out.pointer(toRow: row), out_stride: Int64(out.stride),
            query_count: Int32(queryCount), key_count: Int32(keyCount), head_size: Int32(headSize))
        table.pointee.attention(&sequence, scratch.base, Int32(heads.lowerBound), Int32(heads.count))
    }

    static func attentionScratchByteCount(keyCount: Int, headSize: Int) -> Int {
        Int(ek_attention_scratch_size(Int32(keyCount), Int32(headSize)))
    }

    /// Pools rows of `width` floats into `out`: (width); `-infinity` or zero of no rows, as sentence-transformers has it.
    func pool(
        _ pooling: Pooling, _ hidden: Rows, rows: Range<Int>, width: Int, into out: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(rows.upperBound <= hidden.capacity && width * 4 <= hidden.stride && out.count == width)
        guard let base = out.baseAddress else { return }
        let first = hidden.pointer(toRow: rows.lowerBound).assumingMemoryBound(to: Float.self)
        let stride = Int64(hidden.stride)
        switch pooling {
        case .cls: base.update(from: first, count: width)
        case .max: ek_max_rows_f32(base, first, stride, Int32(rows.count), Int32(width))
        case .mean, .meanSqrtLength:
            ek_sum_rows_f32(base, first, stride, Int32(rows.count), Int32(width))
            let length = Float(max(1, rows.count))
            ek_scale_f32(base, 1 / (pooling == .mean ? length : length.squareRoot()), Int32(width))
        }
    }

    func normalize(_ vector: UnsafeMutableBufferPointer<Float>) {
        guard let base = vector.baseAddress else { return }
        ek_normalize_f32(base, Int32(vector.count))
    }

    /// Packs some outputs of a layer: weights, (outputs, inputs), as the file has them.
    func pack(
        _ weights: UnsafePointer<Float>, outputCount: Int, firstOutput: Int, of layer: DenseLayer,
        into arena: borrowing AlignedBuffer
    ) {
        precondition(firstOutput >= 0 && firstOutput + outputCount <= layer.columnCount)
        let count = layer.columnCount
        var dense = ek_dense(
            precision: layer.precision.kernelPrecision, step_count: Int32(layer.stepCount),
            panel_count: Int32(layer.panelCount),
            panels: arena.floats(at: layer.panels, count: layer.panelByteCount / 4),
            bias: arena.floats(at: layer.bias, count: count),
            scales: layer.precision == .int8 ? UnsafePointer(arena.floats(at: layer.scales, count: count)) : nil,
            sums: layer.precision == .int8 ? UnsafePointer(arena.floats(at: layer.sums, count: count)) : nil)
        ek_pack(table, &dense, weights, Int32(layer.inputs), Int32(outputCount), Int32(firstOutput))
    }

    /// Copies elements of a type to floats; the bytes may stand at any alignment.
    static func widen(_ bytes: UnsafeRawBufferPointer, as type: WeightType, into out: UnsafeMutablePointer<Float>) {
        guard let source = bytes.baseAddress else { return }
        let count = Int64(bytes.count / type.byteCount)
        switch type {
        case .f32: UnsafeMutableRawPointer(out).copyMemory(from: source, byteCount: bytes.count)
        case .f16: ek_widen_f16(out, source, count)
        case .bf16: ek_widen_bf16(out, source, count)
        }
    }

    /// Lets denormal numbers count as zero on this thread while the body runs.
    static func flushingDenormals<Result>(_ body: () -> Result) -> Result {
        let control = ek_flush_denormals()
        defer { ek_restore_denormals(control) }
        return body()
    }
}

/// A quantized row's range; one a row, in a buffer of its own.
typealias QuantizedRange = ek_range

extension Activation {
    fileprivate var kernelActivation: ek_activation {
        switch self {
        case .relu: ek_relu
        case .gelu: ek_gelu_erf
        case .geluTanh: ek_gelu_tanh
        case .silu: ek_silu
        }
    }
}

/// Element types that weights may have in the file.
enum WeightType: String, CaseIterable {
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"

    var byteCount: Int { self == .f32 ? 4 : 2 }
}
