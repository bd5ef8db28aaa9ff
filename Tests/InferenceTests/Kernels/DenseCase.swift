import CKernels
import Foundation

/// What a test makes a kernel do wrong, so that the comparison can show that it would notice.
enum PlantedFault: CaseIterable {
    case dropsLastInput, dropsLastColumn, dropsLastRow, dropsLastTailInput, writesBesideTheRow
}

struct DenseShape: CustomStringConvertible {
    var precision: ek_precision
    var inputs: Int
    var outputs: Int
    var rows: Int
    /// i8: further inputs, in bfloat16.
    var tail = 0
    var epilogue = ek_store_f32
    var activation = ek_gelu_erf
    /// Values between rows of `in` and `out` that nobody may write.
    var gap = 0

    var isNarrow: Bool { epilogue == ek_store_bf16 || epilogue == ek_activate_bf16 }
    var activates: Bool { epilogue == ek_activate_f32 || epilogue == ek_activate_bf16 }

    var description: String {
        "\(precision.name) \(rows) rows, \(inputs)+\(tail) → \(outputs), epilogue \(epilogue.rawValue)"
            + (activates ? ".\(activation.rawValue)" : "") + ", gap \(gap)"
    }

    /// Every epilogue, and every activation.
    static let epilogues: [(ek_epilogue, ek_activation)] =
        [(ek_store_f32, ek_relu), (ek_add_f32, ek_relu), (ek_store_bf16, ek_relu)]
        + ek_activation.all.flatMap { [(ek_activate_f32, $0), (ek_activate_bf16, $0)] }
}

/// A dense layer with its operands, for any table of kernels to compute.
final class DenseCase {
    let shape: DenseShape
    /// (outputs, inputs) and (outputs, tail)
    var weights: [Float]
    let tailWeights: [Float]
    let bias: [Float]
    /// (rows, outputs)
    let residual: [Float]
    var ranges: [ek_range]
    let input: KernelRows
    let tailInput: KernelRows

    init(_ shape: DenseShape, seed: Int) {
        self.shape = shape
        var pool = NumberPool(seed: seed)
        weights = pool.floats(shape.outputs * shape.inputs)
        tailWeights = pool.floats(shape.outputs * shape.tail)
        bias = pool.floats(shape.outputs)
        residual = pool.floats(shape.rows * shape.outputs)
        ranges = pool.floats(shape.rows).map { ek_range(scale: (1.5 + $0) / 255, low: $0 - 0.5) }
        // Rows that may be read beyond the last one are there, and what stands in a step behind the inputs is any
        // number.
        let rows = (shape.rows + 63) / 64 * 64
        let steps = Int(ek_step_count(shape.precision, Int32(shape.inputs)))
        input = KernelRows(
            .reading, rowCount: rows, rowByteCount: 4 * steps, gap: shape.gap * shape.precision.valueByteCount)
        pool.fill(input, shape.precision)
        let tailSteps = Int(ek_step_count(ek_bf16, Int32(shape.tail)))
        tailInput = KernelRows(
            .reading, rowCount: shape.rows, rowByteCount: 4 * tailSteps, gap: 2 * shape.gap)
        pool.fill(tailInput, ek_bf16)
    }

    /// The same layer over some of the rows.
    init(_ other: DenseCase, rows: Range<Int>) {
        var shape = other.shape
        shape.rows = rows.count
        self.shape = shape
        (weights, tailWeights, bias) = (other.weights, other.tailWeights, other.bias)
        residual = Array(other.residual[rows.lowerBound * shape.outputs..<rows.upperBound * shape.outputs])
        ranges = Array(other.ranges[rows])
        // Nothing but zeros where rows behind the last one may be read.
        input = KernelRows(.reading, rowCount: other.input.rowCount, rowByteCount: other.input.stride)
        memset(input.base, 0, input.rowCount * input.stride)
        tailInput = KernelRows(.reading, rowCount: rows.count, rowByteCount: other.tailInput.stride)
        for (place, row) in rows.enumerated() {
            memcpy(input.row(place), other.input.row(row), other.input.rowByteCount)
            memcpy(tailInput.row(place), other.tailInput.row(row), other.tailInput.rowByteCount)
        }
    }

    /// The layer in a table's panels.
    func packed(for table: UnsafePointer<ek_kernels>) -> PackedLayer {
        PackedLayer(
            table, shape.precision, weights: weights, inputs: shape.inputs, outputs: shape.outputs, bias: bias,
            tailWeights: tailWeights, tailCount: shape.tail)
    }

    /// The rows that a table's kernel writes, with canaries wherever it wrote nothing.
    ///
    /// - Parameter panels: those to compute, nil for all of them in one call.
    func run(
        on table: UnsafePointer<ek_kernels>, epilogue: ek_epilogue? = nil, panels: Range<Int>? = nil,
        fault: PlantedFault? = nil
    ) -> KernelRows {
        let layer = packed(for: table)
        let epilogue = epilogue ?? shape.epilogue
        let valueByteCount = epilogue == ek_store_bf16 || epilogue == ek_activate_bf16 ? 2 : 4
        let out = KernelRows(
            .writing, rowCount: shape.rows, rowByteCount: layer.columnCount * valueByteCount,
            gap: shape.gap * valueByteCount)
        // Strided as `out`, or `out` itself.
        let isInPlace = shape.gap % 2 == 0
        let residuals =
            isInPlace
            ? out
            : KernelRows(
                .reading, rowCount: shape.rows, rowByteCount: out.rowByteCount, gap: out.stride - out.rowByteCount)
        if epilogue == ek_add_f32 {
            for row in 0..<shape.rows {
                for column in 0..<shape.outputs {
                    residuals.floats(row)[column] = residual[row * shape.outputs + column]
                }
            }
        }
        if fault == .dropsLastInput { layer.forgetLastInput() }
        if fault == .dropsLastTailInput { layer.forgetLastTailInput() }
        let panels = panels ?? 0..<layer.panelCount
        layer.withDense { dense in
            ranges.withUnsafeBufferPointer { ranges in
                var rows = ek_dense_rows(
                    in: input.base, in_stride: Int64(input.stride), ranges: ranges.baseAddress, tail: tailInput.base,
                    tail_stride: Int64(tailInput.stride), out: out.base, out_stride: Int64(out.stride),
                    residual: epilogue == ek_add_f32 ? UnsafePointer(residuals.floats(0)) : nil, epilogue: epilogue,
                    activation: shape.activation)
                let rowCount = fault == .dropsLastRow ? shape.rows - 1 : shape.rows
                table.pointee.dense(
                    &dense, &rows, Int32(rowCount), Int32(panels.lowerBound), Int32(panels.count))
            }
        }
        if fault == .dropsLastColumn {
            for row in 0..<shape.rows {
                for byte in 0..<valueByteCount {
                    out.bytes(row)[(shape.outputs - 1) * valueByteCount + byte] = KernelRows.canary
                }
            }
        }
        if fault == .writesBesideTheRow { out.bytes(shape.rows - 1)[out.rowByteCount] = 0 }
        return out
    }
}

/// A layer's weights in a table's panels, in memory that ends where they do.
final class PackedLayer {
    private let precision: ek_precision
    private let inputs: Int
    private let tailCount: Int
    private let panelWidth: Int
    let stepCount: Int
    let panelCount: Int
    private let tailStepCount: Int
    private(set) var panels: [UInt8]
    private var tailPanels: [UInt8]
    private var bias: [Float]
    private(set) var scales: [Float]
    private(set) var sums: [Float]

    var columnCount: Int { panelCount * panelWidth }

    init(
        _ table: UnsafePointer<ek_kernels>, _ precision: ek_precision, weights: [Float], inputs: Int, outputs: Int,
        bias: [Float] = [], tailWeights: [Float] = [], tailCount: Int = 0
    ) {
        self.precision = precision
        self.inputs = inputs
        self.tailCount = tailCount
        panelWidth = Int(table.pointee.panel_width)
        stepCount = Int(ek_step_count(precision, Int32(inputs)))
        panelCount = Int(ek_panel_count(table, Int32(outputs)))
        tailStepCount = Int(ek_step_count(ek_bf16, Int32(tailCount)))
        let columns = panelCount * panelWidth
        panels = Array(repeating: 0, count: columns * stepCount * 4)
        tailPanels = Array(repeating: 0, count: columns * tailStepCount * 4)
        self.bias = bias + Array(repeating: 0, count: columns - bias.count)
        scales = Array(repeating: 0, count: columns)
        sums = scales
        withDense { dense in ek_pack(table, &dense, weights, Int32(inputs), Int32(outputs)) }
        guard tailCount > 0 else { return }
        tailPanels.withUnsafeMutableBytes { panels in
            guard let base = panels.baseAddress else { return }
            self.bias.withUnsafeBufferPointer { bias in
                guard let bias = bias.baseAddress else { return }
                var dense = ek_dense(
                    precision: ek_bf16, step_count: Int32(tailStepCount), panel_count: Int32(panelCount),
                    panels: base, bias: bias, scales: nil, sums: nil, tail_panels: nil, tail_step_count: 0)
                ek_pack(table, &dense, tailWeights, Int32(tailCount), Int32(outputs))
            }
        }
    }

    func withDense(_ body: (inout ek_dense) -> Void) {
        panels.withUnsafeMutableBytes { panels in
            tailPanels.withUnsafeMutableBytes { tailPanels in
                scales.withUnsafeMutableBufferPointer { scales in
                    sums.withUnsafeMutableBufferPointer { sums in
                        bias.withUnsafeMutableBufferPointer { bias in
                            guard let panels = panels.baseAddress, let bias = bias.baseAddress else { return }
                            var dense = ek_dense(
                                precision: precision, step_count: Int32(stepCount), panel_count: Int32(panelCount),
                                panels: UnsafeRawPointer(panels), bias: UnsafePointer(bias),
                                scales: UnsafePointer(scales.baseAddress), sums: UnsafePointer(sums.baseAddress),
                                tail_panels: UnsafeRawPointer(tailPanels.baseAddress),
                                tail_step_count: Int32(tailStepCount))
                            body(&dense)
                        }
                    }
                }
            }
        }
    }

    /// The place of a weight in the panels, in bytes.
    func place(input: Int, output: Int) -> Int {
        let valueByteCount = precision.valueByteCount
        let step = output / panelWidth * stepCount + input * valueByteCount / 4
        return (step * panelWidth + output % panelWidth) * 4 + input * valueByteCount % 4
    }

    func forgetLastInput() {
        for output in 0..<columnCount {
            let first = place(input: inputs - 1, output: output)
            for byte in 0..<precision.valueByteCount { panels[first + byte] = 0 }
        }
    }

    func forgetLastTailInput() {
        guard tailCount > 0 else { return }
        for output in 0..<columnCount {
            let step = output / panelWidth * tailStepCount + (tailCount - 1) / 2
            let first = (step * panelWidth + output % panelWidth) * 4 + (tailCount - 1) % 2 * 2
            tailPanels[first] = 0
            tailPanels[first + 1] = 0
        }
    }
}
