import CKernels

/// The instructions that the element-wise kernels and attention use. Each gives the same results to rounding.
package enum InstructionSet: String, Sendable, CaseIterable {
    /// Plain C, on every processor.
    case plain
    case avx2
    case avx512

    /// Those that this processor has, slowest first.
    package static var available: [InstructionSet] { allCases.filter { $0.table != nil } }

    /// The fastest that this processor has.
    package static var best: InstructionSet { available.last ?? .plain }

    fileprivate var table: UnsafePointer<ek_kernels>? {
        switch self {
        case .plain: ek_kernels_plain()
        case .avx2: ek_kernels_avx2()
        case .avx512: ek_kernels_avx512()
        }
    }
}

/// The library behind the dense layers.
package enum DenseLibrary {
    /// OpenBLAS's own description of its version and build. Reading it also keeps OpenBLAS on the calling thread.
    package static let configuration = String(cString: ek_start_blas())

    /// The processor for which OpenBLAS chose its kernels, for example `Cooperlake`.
    package static var core: String {
        _ = configuration
        return String(cString: ek_blas_core())
    }
}

/// One dense layer's place in the weights. The weights stand transposed, (inputs, outputs): OpenBLAS then reads both
/// operands as rows, measured 2 to 5 % faster than PyTorch's (outputs, inputs) from 256 rows on, and alike at 128.
struct DenseLayer {
    let weights: Int
    let bias: Int
    let inputs: Int
    let outputs: Int

    /// Rows below which OpenBLAS takes another path (rows × inputs × outputs ≤ 10⁶) and sums in another order.
    var minimumRowCount: Int {
        let rows = 1_000_000 / (inputs * outputs) + 1
        return max(Self.rowMultiple, (rows + Self.rowMultiple - 1) / Self.rowMultiple * Self.rowMultiple)
    }

    /// Rows that OpenBLAS computes for `rowCount` real ones; the rest are fillers.
    func computedRowCount(for rowCount: Int) -> Int {
        max(minimumRowCount, (rowCount + Self.rowMultiple - 1) / Self.rowMultiple * Self.rowMultiple)
    }

    /// Whole tiles of OpenBLAS's kernels.
    static let rowMultiple = 16
}

/// The one door to C: every method checks its shapes, then makes one call.
///
/// Rows are counted from the start of a buffer; `at` is an offset in floats.
struct Kernels: @unchecked Sendable {
    /// `@unchecked`: points to a constant of the C library.
    private let table: UnsafePointer<ek_kernels>

    /// Nil where this processor lacks the instructions.
    init?(_ instructionSet: InstructionSet) {
        guard let table = instructionSet.table else { return nil }
        _ = DenseLibrary.configuration
        self.table = table
    }

    /// out: rows `row..<row + count`, (count, width) = word rows at `ids` + position rows `0..<count`.
    func embed(
        _ ids: UnsafeBufferPointer<Int32>, words: Int, positions: Int, of weights: borrowing FloatBuffer,
        to out: inout FloatBuffer, row: Int, width: Int
    ) {
        precondition(out.contains(row * width..<(row + ids.count) * width))
        precondition(weights.contains(positions..<positions + ids.count * width))
        guard let base = ids.baseAddress else { return }
        ek_embed_f32(
            out.base + row * width, weights.base + words, weights.base + positions, base, Int32(ids.count), Int32(width)
        )
    }

    /// rows of out = bias + in × weights, where bias is the layer's.
    func apply(
        _ layer: DenseLayer, of weights: borrowing FloatBuffer, to input: borrowing FloatBuffer,
        into out: inout FloatBuffer, rowCount: Int
    ) {
        let rows = layer.computedRowCount(for: rowCount)
        precondition(weights.contains(layer.bias..<layer.bias + layer.outputs) && rows * layer.outputs <= out.count)
        ek_fill_rows_f32(out.base, weights.base + layer.bias, Int32(rows), Int32(layer.outputs))
        multiplyAdd(layer, of: weights, to: input, into: &out, rows: rows)
    }

    /// rows of out = residual + bias + in × weights.
    func apply(
        _ layer: DenseLayer, of weights: borrowing FloatBuffer, to input: borrowing FloatBuffer,
        addingTo residual: borrowing FloatBuffer, into out: inout FloatBuffer, rowCount: Int
    ) {
        let rows = layer.computedRowCount(for: rowCount)
        precondition(weights.contains(layer.bias..<layer.bias + layer.outputs))
        precondition(rows * layer.outputs <= min(out.count, residual.count))
        ek_add_bias_f32(out.base, residual.base, weights.base + layer.bias, Int32(rows), Int32(layer.outputs))
        multiplyAdd(layer, of: weights, to: input, into: &out, rows: rows)
    }

    private func multiplyAdd(
        _ layer: DenseLayer, of weights: borrowing FloatBuffer, to input: borrowing FloatBuffer,
        into out: inout FloatBuffer, rows: Int
    ) {
        precondition(weights.contains(layer.weights..<layer.weights + layer.inputs * layer.outputs))
        precondition(rows * layer.inputs <= input.count && rows * layer.outputs <= out.count)
        ek_multiply_add_f32(
            out.base, input.base, weights.base + layer.weights, Int32(rows), Int32(layer.inputs), Int32(layer.outputs))
    }

    /// In place over the first `count` values.
    func activate(_ activation: Activation, _ values: inout FloatBuffer, count: Int) {
        precondition(count <= values.count)
        switch activation {
        case .relu: table.pointee.relu_f32(values.base, Int64(count))
        case .gelu: table.pointee.gelu_erf_f32(values.base, Int64(count))
        case .geluTanh: table.pointee.gelu_tanh_f32(values.base, Int64(count))
        case .silu: table.pointee.silu_f32(values.base, Int64(count))
        }
    }

    /// In place over rows `0..<rowCount`; gamma and beta are offsets in weights.
    func layerNorm(
        _ rows: inout FloatBuffer, rowCount: Int, width: Int, gamma: Int, beta: Int, epsilon: Float,
        of weights: borrowing FloatBuffer
    ) {
        precondition(rowCount * width <= rows.count)
        precondition(weights.contains(gamma..<gamma + width) && weights.contains(beta..<beta + width))
        table.pointee.layer_norm_f32(
            rows.base, weights.base + gamma, weights.base + beta, epsilon, Int32(rowCount), Int32(width))
    }

    /// All heads of the sequence whose rows are `row..<row + queryCount`; the first `keyCount` of them are its tokens.
    func attend(
        _ qkv: borrowing FloatBuffer, row: Int, queryCount: Int, keyCount: Int, headCount: Int, headSize: Int,
        scale: Float, into out: inout FloatBuffer, scratch: inout FloatBuffer
    ) {
        let width = headCount * headSize
        precondition(keyCount >= 1 && keyCount <= queryCount)
        precondition(qkv.contains(row * 3 * width..<(row + queryCount) * 3 * width))
        precondition(out.contains(row * width..<(row + queryCount) * width))
        precondition(scratch.count >= Self.attentionScratchCount(queryCount: queryCount, headSize: headSize))
        table.pointee.attention_f32(
            out.base + row * width, qkv.base + row * 3 * width, scratch.base, Int32(queryCount), Int32(keyCount),
            Int32(headCount), Int32(headSize), scale)
    }

    static func attentionScratchCount(queryCount: Int, headSize: Int) -> Int {
        Int(ek_attention_scratch_count(Int32(queryCount), Int32(headSize)))
    }

    /// Pools `rows` of (…, width) into `out`: (width); `-infinity` or zero of no rows, as sentence-transformers has it.
    func pool(
        _ pooling: Pooling, _ hidden: borrowing FloatBuffer, rows: Range<Int>, width: Int,
        into out: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(hidden.contains(rows.lowerBound * width..<rows.upperBound * width) && out.count == width)
        guard let base = out.baseAddress else { return }
        let first = hidden.base + rows.lowerBound * width
        let count = Int32(rows.count)
        switch pooling {
        case .cls: base.update(from: first, count: width)
        case .max: ek_max_rows_f32(base, first, count, Int32(width))
        case .mean, .meanSqrtLength:
            ek_sum_rows_f32(base, first, count, Int32(width))
            let length = Float(max(1, rows.count))
            ek_scale_f32(base, 1 / (pooling == .mean ? length : length.squareRoot()), Int32(width))
        }
    }

    func normalize(_ vector: UnsafeMutableBufferPointer<Float>) {
        guard let base = vector.baseAddress else { return }
        ek_normalize_f32(base, Int32(vector.count))
    }

    /// weights[at...]: (columns, rows), rows `stride` floats apart = in: (rows, columns) transposed.
    static func transpose(
        _ input: borrowing FloatBuffer, rows: Int, columns: Int, into weights: inout FloatBuffer, at offset: Int,
        stride: Int
    ) {
        precondition(rows * columns <= input.count && stride >= rows)
        precondition(weights.contains(offset..<offset + (columns - 1) * stride + rows))
        ek_transpose_f32(weights.base + offset, input.base, Int32(rows), Int32(columns), Int64(stride))
    }

    /// Adds `from[0..<width]` to every one of the `rowCount` rows that begin at `offset`.
    static func addToRows(
        _ bias: borrowing FloatBuffer, of weights: inout FloatBuffer, at offset: Int, rowCount: Int, width: Int
    ) {
        precondition(width <= bias.count && weights.contains(offset..<offset + rowCount * width))
        for row in 0..<rowCount {
            let base = weights.base + offset + row * width
            for column in 0..<width { base[column] += bias.base[column] }
        }
    }

    /// Copies `count` elements of a type to floats; the bytes may stand at any alignment.
    static func widen(
        _ bytes: UnsafeRawBufferPointer, as type: WeightType, into weights: inout FloatBuffer, at offset: Int
    ) {
        let count = bytes.count / type.byteCount
        precondition(weights.contains(offset..<offset + count))
        guard let source = bytes.baseAddress else { return }
        switch type {
        case .f32: UnsafeMutableRawPointer(weights.base + offset).copyMemory(from: source, byteCount: count * 4)
        case .f16: ek_widen_f16(weights.base + offset, source, Int64(count))
        case .bf16: ek_widen_bf16(weights.base + offset, source, Int64(count))
        }
    }

    /// Lets denormal numbers count as zero on this thread while the body runs.
    static func flushingDenormals<Result>(_ body: () -> Result) -> Result {
        let control = ek_flush_denormals()
        defer { ek_restore_denormals(control) }
        return body()
    }
}

/// Element types that weights may have in the file; in memory they are float32.
enum WeightType: String, CaseIterable {
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"

    var byteCount: Int { self == .f32 ? 4 : 2 }
}
