import CKernels
package import Embeddings

/// One dense layer's place in the weights, packed for one instruction set. Offsets are bytes in the arena.
struct DenseLayer {
    let precision: Precision
    /// Those of the tail left out.
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
    /// int8: inputs that stay in bfloat16, and their panels.
    let tailCount: Int
    let tailStepCount: Int
    let tailPanels: Int

    var columnCount: Int { panelCount * panelWidth }
    var panelByteCount: Int { stepCount * columnCount * 4 }
    var tailByteCount: Int { tailStepCount * columnCount * 4 }
}

/// A layer norm's place in the weights, in bytes.
struct Norm {
    let gamma: Int
    let beta: Int
    /// What takes the place of both in the copy that an int8 layer reads.
    let quantizedGamma: Int
    let quantizedBeta: Int
    /// Columns (Int32) that go to the layer's tail, with what takes beta's place there.
    let tailCount: Int
    let tailColumns: Int
    let tailBeta: Int
}

/// What a dense layer reads: rows in its precision; for int8 each row's range, and its tail.
struct LayerInput {
    let rows: Rows
    var ranges: UnsafeMutablePointer<ek_range>?
    var tail: Rows?
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
        _ layer: DenseLayer, of arena: borrowing AlignedBuffer, panels: Range<Int>, to input: LayerInput,
        into out: Rows, _ epilogue: Epilogue, isNarrow: Bool, rowCount: Int
    ) {
        let rows = (rowCount + rowMultiple - 1) / rowMultiple * rowMultiple
        precondition(rows <= input.rows.capacity && rowCount <= out.capacity)
        precondition(layer.stepCount * 4 <= input.rows.stride)
        precondition(layer.columnCount * (isNarrow ? 2 : 4) <= out.stride)
        precondition(panels.lowerBound >= 0 && panels.upperBound <= layer.panelCount)
        precondition(layer.precision != .int8 || input.ranges != nil)
        if let tail = input.tail {
            precondition(rowCount <= tail.capacity && layer.tailStepCount * 4 <= tail.stride)
        } else {
            precondition(layer.tailCount == 0)
        }
        var dense = Self.dense(layer, of: arena)
        var operands = ek_dense_rows(
            in: input.rows.base, in_stride: Int64(input.rows.stride), ranges: input.ranges.map { UnsafePointer($0) },
            tail: input.tail.map { UnsafeRawPointer($0.base) }, tail_stride: Int64(input.tail?.stride ?? 0),
            out: out.base, out_stride: Int64(out.stride), residual: nil,
            epilogue: isNarrow ? ek_store_bf16 : ek_store_f32, activation: ek_relu)
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

    private static func dense(_ layer: DenseLayer, of arena: borrowing AlignedBuffer) -> ek_dense {
        let count = layer.columnCount
        let isQuantized = layer.precision == .int8
        return ek_dense(
            precision: layer.precision.kernelPrecision, step_count: Int32(layer.stepCount),
            panel_count: Int32(layer.panelCount),
            panels: arena.floats(at: layer.panels, count: layer.panelByteCount / 4),
            bias: arena.floats(at: layer.bias, count: count),
            scales: isQuantized ? UnsafePointer(arena.floats(at: layer.scales, count: count)) : nil,
            sums: isQuantized ? UnsafePointer(arena.floats(at: layer.sums, count: count)) : nil,
            tail_panels: layer.tailCount > 0
                ? UnsafeRawPointer(arena.floats(at: layer.tailPanels, count: layer.tailByteCount / 4)) : nil,
            tail_step_count: Int32(layer.tailStepCount))
    }

    /// In place over some rows; for a next layer that does not read float32, what it reads goes to `copy`.
    func layerNorm(
        _ norm: Norm, of arena: borrowing AlignedBuffer, epsilon: Float, width: Int, _ rows: Rows, range: Range<Int>,
        copy: LayerInput?, precision: Precision
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows.capacity && width * 4 <= rows.stride)
        let isQuantized = precision == .int8
        var parameters = ek_norm(
            gamma: arena.floats(at: norm.gamma, count: width), beta: arena.floats(at: norm.beta, count: width),
            quantized_gamma: isQuantized ? UnsafePointer(arena.floats(at: norm.quantizedGamma, count: width)) : nil,
            quantized_beta: isQuantized ? UnsafePointer(arena.floats(at: norm.quantizedBeta, count: width)) : nil,
            tail_columns: isQuantized
                ? UnsafePointer(arena.integers(at: norm.tailColumns, count: norm.tailCount)) : nil,
            tail_beta: isQuantized ? UnsafePointer(arena.floats(at: norm.tailBeta, count: norm.tailCount)) : nil,
            tail_count: isQuantized ? Int32(norm.tailCount) : 0, epsilon: epsilon, width: Int32(width))
        let target = rows.pointer(toRow: range.lowerBound).assumingMemoryBound(to: Float.self)
        guard let copy, precision != .fp32 else {
            return table.pointee.layer_norm(target, Int64(rows.stride), &parameters, nil, Int32(range.count))
        }
        precondition(
            range.upperBound <= copy.rows.capacity && width * precision.inputValueByteCount <= copy.rows.stride)
        precondition(!isQuantized || copy.ranges != nil && (norm.tailCount == 0 || copy.tail != nil))
        var out = ek_copy(
            precision: precision.kernelPrecision, rows: copy.rows.pointer(toRow: range.lowerBound),
            stride: Int64(copy.rows.stride), ranges: copy.ranges.map { $0 + range.lowerBound },
            tail: copy.tail.map { $0.pointer(toRow: range.lowerBound).assumingMemoryBound(to: UInt16.self) },
            tail_stride: Int64(copy.tail?.stride ?? 0))
        table.pointee.layer_norm(target, Int64(rows.stride), &parameters, &out, Int32(range.count))
    }

    /// Bytes of the first `width` columns of some rows of bfloat16, each row with its range.
    func quantize(
        _ input: Rows, range: Range<Int>, width: Int, into out: Rows, ranges: UnsafeMutablePointer<ek_range>
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= min(input.capacity, out.capacity))
        precondition(width * 2 <= input.stride && width <= out.stride)
        table.pointee.quantize_bf16(
            out.pointer(toRow: range.lowerBound).assumingMemoryBound(to: UInt8.self), Int64(out.stride),
            ranges + range.lowerBound,
            input.pointer(toRow: range.lowerBound).assumingMemoryBound(to: UInt16.self), Int64(input.stride),
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

    /// Packs a layer's weights, (outputs, inputs), and those of its tail, (outputs, tail).
    func pack(
        _ weights: UnsafePointer<Float>, tail: UnsafePointer<Float>?, of layer: DenseLayer,
        into arena: borrowing AlignedBuffer
    ) {
        var dense = Self.dense(layer, of: arena)
        ek_pack(table, &dense, weights, Int32(layer.inputs), Int32(layer.outputs))
        guard let tail, let panels = dense.tail_panels else { return }
        dense.precision = ek_bf16
        dense.panels = panels
        dense.step_count = Int32(layer.tailStepCount)
        ek_pack(table, &dense, tail, Int32(layer.tailCount), Int32(layer.outputs))
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

    /// Multiplies and adds in registers alone; answers the operations, a multiplication and an addition being two.
    func spin(_ precision: Precision, stepCount: Int) -> Int {
        Int(table.pointee.spin(precision.kernelPrecision, Int64(stepCount)))
    }

    /// Tells the processor that this thread spins.
    static func pause() { ek_pause() }

    /// Lets denormal numbers count as zero on this thread while the body runs.
    static func flushingDenormals<Result>(_ body: () -> Result) -> Result {
        flushingDenormals { _ in body() }
    }

    /// The same; the body may do other things in between.
    static func flushingDenormals<Result>(_ body: (borrowing DenormalPause) -> Result) -> Result {
        let control = ek_flush_denormals()
        defer { ek_restore_denormals(control) }
        return body(DenormalPause(control: control))
    }

    /// Lets denormal numbers be what they are for a while, within `flushingDenormals`: threads that are made or woken
    /// meanwhile inherit that.
    struct DenormalPause: ~Copyable {
        fileprivate let control: UInt64

        func callAsFunction(_ body: () -> Void) {
            ek_restore_denormals(control)
            body()
            _ = ek_flush_denormals()
        }
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

extension InstructionSet {
    /// Whether it is worth choosing there: faster than what is more exact, or half as large and nearly as fast.
    package func offers(_ precision: Precision) -> Bool {
        guard let table else { return false }
        return table.pointee.precisions & (1 << precision.kernelPrecision.rawValue) != 0
    }

    fileprivate var table: UnsafePointer<ek_kernels>? {
        switch self {
        case .plain: ek_kernels_plain()
        case .openblas: ek_kernels_openblas()
        case .avx2: ek_kernels_avx2()
        case .avx512: ek_kernels_avx512()
        case .avx512vnni: ek_kernels_avx512vnni()
        case .avx512bf16: ek_kernels_avx512bf16()
        case .amx: ek_kernels_amx()
        case .neon: ek_kernels_neon()
        case .neondot: ek_kernels_neondot()
        case .neonbf16: ek_kernels_neonbf16()
        }
    }

    /// Whether this processor, and the build, have it.
    var isAvailable: Bool { table != nil }
}

/// The library for processors that have no kernels of our own.
enum OpenBLAS {
    /// Its own description of its version and build. Reading it also keeps it on the calling thread.
    static let configuration = String(cString: ek_start_blas())

    /// The processor for which it chose its kernels, for example `Cooperlake`.
    static var core: String {
        _ = configuration
        return String(cString: ek_blas_core())
    }
}

extension Precision {
    fileprivate var kernelPrecision: ek_precision {
        switch self {
        case .fp32: ek_f32
        case .bf16: ek_bf16
        case .int8: ek_i8
        }
    }
}
