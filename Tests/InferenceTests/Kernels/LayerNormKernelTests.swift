import CKernels
import Foundation
import Testing

/// Layer norm of every table, with each copy that a dense layer may read, against the definition in double precision.
@Suite(.onOwnThread)
struct LayerNormKernelTests {
    enum Copy: CaseIterable, Sendable { case none, bf16, i8, i8WithTail }

    /// What a test makes the kernel do wrong.
    enum Fault: CaseIterable { case dropsLastColumn, dropsLastRow, dropsLastOfTail, writesBesideTheRow }

    private static let widths = Array(1...70) + [96, 127, 384, 385, 768, 1_025]

    @Test(arguments: KernelTable.withAttention, Copy.allCases)
    func normsAreTheirDefinition(table: KernelTable, copy: Copy) throws {
        let kernels = try #require(table.pointer)
        for width in Self.widths {
            for rows in [1, 2, 5] {
                let found = Case(width: width, rows: rows, copy: copy).mismatches(on: kernels, fault: nil)
                #expect(found == 0, "\(rows) rows of \(width)")
            }
        }
    }

    @Test(arguments: KernelTable.withAttention, Copy.allCases)
    func plantedFaultsShow(table: KernelTable, copy: Copy) throws {
        let kernels = try #require(table.pointer)
        for width in Self.widths where width > 1 && (width % sweepStep < 2 || width < 5) {
            for fault in Fault.allCases where fault != .dropsLastOfTail || copy == .i8WithTail {
                let found = Case(width: width, rows: 3, copy: copy).mismatches(on: kernels, fault: fault)
                #expect(found > 0, "\(fault) in 3 rows of \(width)")
            }
        }
    }

    private struct Case {
        let width: Int
        let rows: Int
        let copy: Copy
        let gamma, beta, quantizedGamma, quantizedBeta, tailBeta: [Float]
        let tailColumns: [Int32]
        let epsilon: Float = 1e-5

        init(width: Int, rows: Int, copy: Copy) {
            (self.width, self.rows, self.copy) = (width, rows, copy)
            var pool = NumberPool(seed: width)
            gamma = pool.floats(width).map { $0 + 1.5 }
            beta = pool.floats(width)
            quantizedGamma = pool.floats(width).map { $0 + 1.5 }
            quantizedBeta = pool.floats(width)
            tailColumns = copy == .i8WithTail ? Swift.Set([0, width / 2, width - 1]).sorted().map(Int32.init) : []
            tailBeta = pool.floats(tailColumns.count)
        }

        func mismatches(on kernels: UnsafePointer<ek_kernels>, fault: Fault?) -> Int {
            var pool = NumberPool(seed: width + rows)
            let values = KernelRows(.writing, rowCount: rows, rowByteCount: 4 * width, gap: 4 * (width % 3))
            pool.fill(values, ek_f32)
            for row in 0..<rows {
                for column in 0..<width { values.floats(row)[column] = 4 * values.floats(row)[column] + 1 }
                // Without it the mean is another.
                values.floats(row)[width - 1] = 5
            }
            let before = (0..<rows).map { row in (0..<width).map { Double(values.floats(row)[$0]) } }
            let precision = copy == .bf16 ? ek_bf16 : ek_i8
            let copied = KernelRows(
                .writing, rowCount: rows, rowByteCount: width * precision.valueByteCount,
                gap: precision.valueByteCount * (width % 5))
            let tail = KernelRows(.writing, rowCount: rows, rowByteCount: 2 * tailColumns.count, gap: 2 * (width % 4))
            var ranges = Array(repeating: ek_range(scale: .nan, low: .nan), count: rows + 1)
            run(kernels, values, copied, tail, &ranges, fault)
            if fault == .writesBesideTheRow { values.bytes(rows - 1)[4 * width] = 0 }

            var wrong = [values, copied, tail].count { !$0.hasCanaries() } + (ranges[rows].low.isNaN ? 0 : 1)
            for row in 0..<rows {
                let normal = Normal(before[row], epsilon: Double(epsilon))
                wrong += (0..<width).count { column in
                    let exact = normal.value(column, gamma[column], beta[column])
                    let tolerance = normal.tolerance(gamma[column], exact)
                    let value = values.floats(row)[column]
                    var isRight = (Double(value) - exact).magnitude <= tolerance
                    if copy == .bf16 {
                        // Narrowed from the very float beside it.
                        isRight = isRight && copied.halves(row)[column] == narrowed(value)
                    }
                    return !isRight
                }
                guard precision == ek_i8, copy != .none else { continue }
                let exact = (0..<width).map { normal.value($0, quantizedGamma[$0], quantizedBeta[$0]) }
                let tolerance = exact.reduce(0) { max($0, normal.tolerance(2.5, $1)) }
                wrong += Quantized(range: ranges[row], bytes: copied.bytes(row)).mismatches(exact, tolerance: tolerance)
                wrong += tailColumns.indices.count { place in
                    let column = Int(tailColumns[place])
                    let exact = normal.value(column, gamma[column], tailBeta[place])
                    let tolerance = normal.tolerance(gamma[column], exact) + bfloat16Epsilon / 2 * exact.magnitude
                    return !((Double(tail.value(row, place, ek_bf16)) - exact).magnitude <= tolerance)
                }
            }
            return wrong
        }

        private func run(
            _ kernels: UnsafePointer<ek_kernels>, _ values: KernelRows, _ copied: KernelRows, _ tail: KernelRows,
            _ ranges: inout [ek_range], _ fault: Fault?
        ) {
            gamma.withUnsafeBufferPointer { gamma in
                beta.withUnsafeBufferPointer { beta in
                    quantizedGamma.withUnsafeBufferPointer { quantizedGamma in
                        quantizedBeta.withUnsafeBufferPointer { quantizedBeta in
                            tailColumns.withUnsafeBufferPointer { tailColumns in
                                tailBeta.withUnsafeBufferPointer { tailBeta in
                                    ranges.withUnsafeMutableBufferPointer { ranges in
                                        guard let gamma = gamma.baseAddress, let beta = beta.baseAddress else { return }
                                        var norm = ek_norm(
                                            gamma: gamma, beta: beta, quantized_gamma: quantizedGamma.baseAddress,
                                            quantized_beta: quantizedBeta.baseAddress,
                                            tail_columns: tailColumns.baseAddress, tail_beta: tailBeta.baseAddress,
                                            tail_count: Int32(tailColumns.count - (fault == .dropsLastOfTail ? 1 : 0)),
                                            epsilon: epsilon,
                                            width: Int32(width - (fault == .dropsLastColumn ? 1 : 0)))
                                        var copy = ek_copy(
                                            precision: self.copy == .bf16 ? ek_bf16 : ek_i8, rows: copied.base,
                                            stride: Int64(copied.stride), ranges: ranges.baseAddress,
                                            tail: self.copy == .i8WithTail ? tail.halves(0) : nil,
                                            tail_stride: Int64(tail.stride))
                                        let rowCount = Int32(rows - (fault == .dropsLastRow ? 1 : 0))
                                        if self.copy == .none {
                                            kernels.pointee.layer_norm(
                                                values.floats(0), Int64(values.stride), &norm, nil, rowCount)
                                        } else {
                                            kernels.pointee.layer_norm(
                                                values.floats(0), Int64(values.stride), &norm, &copy, rowCount)
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row less its mean, over its deviation.
private struct Normal {
    private let values: [Double]
    private let mean: Double
    private let deviation: Double
    /// Magnitude of a value, in deviations.
    private let greatest: Double

    init(_ values: [Double], epsilon: Double) {
        self.values = values
        let mean = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        deviation = (variance + epsilon).squareRoot()
        greatest = values.reduce(0) { max($0, $1.magnitude) } / deviation
    }

    func value(_ column: Int, _ gamma: Float, _ beta: Float) -> Double {
        (values[column] - mean) / deviation * Double(gamma) + Double(beta)
    }

    /// The mean's K additions are off by up to ε/2 each of sums that grow to K times the greatest value, of which a
    /// K-th counts: with random signs √K · ε / 2 at worst, over the deviation. The deviation's error is a share of the
    /// result of the same kind; four roundings follow.
    func tolerance(_ gamma: Float, _ exact: Double) -> Double {
        let depth = Double(values.count).squareRoot() / 2
        return floatEpsilon * ((depth + 2) * greatest * Double(gamma.magnitude) + (depth + 4) * (1 + exact.magnitude))
    }
}
