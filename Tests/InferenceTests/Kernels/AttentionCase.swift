import CKernels
import Foundation

struct AttentionShape: CustomStringConvertible {
    let precision: ek_precision
    let queries: Int
    let keys: Int
    let heads: Int
    let headSize: Int
    /// Values between rows.
    var gap = 0

    var width: Int { heads * headSize }
    var description: String {
        "\(precision.name) \(queries) queries, \(keys) keys, \(heads) heads of \(headSize), gap \(gap)"
    }
}

/// What a test makes attention do wrong.
enum AttentionFault: CaseIterable {
    case dropsLastKey, dropsLastOfHead, dropsLastQuery, dropsLastHead, writesBesideTheRow
}

/// One sequence's queries, keys and values, for any table of kernels.
///
/// The first query is made of the last key, so that its weight is the greatest and nothing can do without it.
final class AttentionCase {
    let shape: AttentionShape
    let (queries, keys, values): (KernelRows, KernelRows, KernelRows)
    /// The greatest magnitude of a query's values: scores spread over some ten powers of two whatever the head's size.
    private let reach: Float

    init(_ shape: AttentionShape, seed: Int) {
        self.shape = shape
        let (precision, gap) = (shape.precision, shape.gap * shape.precision.valueByteCount)
        // The last step of a query may reach one value beyond its head.
        let byteCount = (shape.width + (precision == ek_bf16 ? 1 : 0)) * precision.valueByteCount
        queries = KernelRows(.reading, rowCount: shape.queries, rowByteCount: byteCount, gap: gap)
        keys = KernelRows(.reading, rowCount: shape.keys, rowByteCount: byteCount, gap: gap)
        values = KernelRows(.reading, rowCount: shape.keys, rowByteCount: byteCount, gap: gap)
        var pool = NumberPool(seed: seed)
        for rows in [queries, keys, values] { pool.fill(rows, precision) }
        reach = 12 / Float(shape.headSize).squareRoot()
        for column in 0..<shape.width {
            for row in 0..<shape.queries {
                queries.set(queries.value(row, column, precision) * reach, row, column, precision)
            }
            let last = keys.value(shape.keys - 1, column, precision)
            let key: Float = last < 0 ? min(last, -0.5) : max(last, 0.5)
            keys.set(key, shape.keys - 1, column, precision)
            queries.set(key < 0 ? -reach : reach, 0, column, precision)
            values.set(last < 0 ? -1 : 1, shape.keys - 1, column, precision)
        }
    }

    func run(
        on table: UnsafePointer<ek_kernels>, heads: Range<Int>? = nil, fault: AttentionFault? = nil
    ) -> (out: KernelRows, keptScratch: Bool) {
        let precision = shape.precision
        let out = KernelRows(
            .writing, rowCount: shape.queries, rowByteCount: shape.width * precision.valueByteCount,
            gap: shape.gap * precision.valueByteCount)
        // Stale scratch must not show: it begins as NaN.
        let byteCount = Int(ek_attention_scratch_size(Int32(shape.keys), Int32(shape.headSize)))
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: byteCount + 64, alignment: 64)
        defer { scratch.deallocate() }
        memset(scratch, 0xFF, byteCount)
        memset(scratch + byteCount, Int32(KernelRows.canary), 64)
        if fault == .dropsLastOfHead {
            for row in 0..<shape.queries {
                for head in 1...shape.heads { queries.set(0, row, head * shape.headSize - 1, precision) }
            }
        }
        var sequence = ek_attention(
            precision: precision, q: queries.base, k: keys.base, v: values.base, stride: Int64(keys.stride),
            out: out.base, out_stride: Int64(out.stride),
            query_count: Int32(shape.queries - (fault == .dropsLastQuery ? 1 : 0)),
            key_count: Int32(shape.keys - (fault == .dropsLastKey ? 1 : 0)), head_size: Int32(shape.headSize))
        let heads = heads ?? 0..<shape.heads - (fault == .dropsLastHead ? 1 : 0)
        table.pointee.attention(&sequence, scratch, Int32(heads.lowerBound), Int32(heads.count))
        if fault == .writesBesideTheRow { out.bytes(shape.queries - 1)[out.rowByteCount] = 0 }
        return (out, KernelRows.areCanaries(scratch + byteCount, 64))
    }

    /// By the definition, in double precision: (queries, width).
    func exact() -> [Double] {
        var out = Array(repeating: 0.0, count: shape.queries * shape.width)
        let precision = shape.precision
        for head in 0..<shape.heads {
            let columns = head * shape.headSize..<(head + 1) * shape.headSize
            for query in 0..<shape.queries {
                let scores = (0..<shape.keys).map { key in
                    columns.reduce(0.0) {
                        $0 + Double(queries.value(query, $1, precision)) * Double(keys.value(key, $1, precision))
                    }
                }
                let greatest = scores.reduce(-Double.infinity, max)
                let weights = scores.map { exp2($0 - greatest) }
                let sum = weights.reduce(0, +)
                for column in columns {
                    let mixed = (0..<shape.keys).reduce(0.0) {
                        $0 + weights[$1] * Double(values.value($1, column, precision))
                    }
                    out[query * shape.width + column] = mixed / sum
                }
            }
        }
        return out
    }

    /// What a kernel may be off by, values being in ±1.
    ///
    /// A score sums head-size products of up to `reach`, so it is off by ε · size · reach at the very most (see the
    /// dense layers); as a power of two it makes a weight off by ln 2 times that, and the weights' error meets the
    /// output twice, in the sum above the line and in the one below. Two sums over keys of positive weights take ε ·
    /// keys / 2 each. In bfloat16 each weight is rounded, off by ε/2 of it, above and below the line alike: at most
    /// ε/2 · |v - out| ≤ ε; and the output is.
    func tolerance(at exact: Double) -> Double {
        let scores = 2 * 0.7 * Double(shape.headSize) * Double(reach)
        let float = floatEpsilon * (scores + Double(shape.keys) + 8)
        return shape.precision == ek_f32 ? float : float + bfloat16Epsilon * (1 + exact.magnitude / 2)
    }

    /// Where a table's output is not what `expected` says: the first place, and how many.
    func mismatches(
        on table: UnsafePointer<ek_kernels>, expected: [Double], fault: AttentionFault? = nil
    ) -> (count: Int, first: String) {
        let (out, keptScratch) = run(on: table, fault: fault)
        var (count, first) = (0, "")
        for row in 0..<shape.queries {
            for column in 0..<shape.width {
                let value = Double(out.value(row, column, shape.precision))
                let exact = expected[row * shape.width + column]
                if (value - exact).magnitude <= tolerance(at: exact) { continue }
                if count == 0 { first = "\(shape): query \(row), column \(column): \(value), expected \(exact)" }
                count += 1
            }
        }
        if !out.hasCanaries() || !keptScratch {
            if count == 0 { first = "\(shape): wrote beside its rows or its scratch" }
            count += 1
        }
        return (count, first)
    }

    /// What the plain twin computes, in float.
    func plain() -> [Double] {
        let out = run(on: ek_kernels_plain()).out
        return (0..<shape.queries).flatMap { row in
            (0..<shape.width).map { Double(out.value(row, $0, shape.precision)) }
        }
    }
}
