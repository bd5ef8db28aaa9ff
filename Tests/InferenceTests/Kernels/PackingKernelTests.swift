import CKernels
import Foundation
import Testing

/// Weights in panels, and the functions that every machine shares.
@Suite(.onOwnThread)
struct PackingKernelTests {
    @Test(arguments: KernelTable.products)
    func panelsHoldEveryWeightAndZerosBesideThem(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for inputs in Array(1...19) + [64, 65] {
            for outputs in [1, 2, 15, 16, 17, 31, 33, 48, 65, 129] {
                var pool = NumberPool(seed: inputs)
                let weights = pool.floats(inputs * outputs)
                let layer = PackedLayer(table, product.precision, weights: weights, inputs: inputs, outputs: outputs)
                var expected = Array(repeating: UInt8(0), count: layer.panels.count)
                for output in 0..<outputs {
                    let row = weights[output * inputs..<(output + 1) * inputs]
                    let limit = table.pointee.pair_limit
                    let scale = scale(of: Array(row), pairLimit: limit)
                    var sum = 0
                    for (input, weight) in row.enumerated() {
                        let place = layer.place(input: input, output: output)
                        switch product.precision {
                        case ek_f32:
                            for byte in 0..<4 {
                                expected[place + byte] = UInt8(
                                    truncatingIfNeeded: weight.bitPattern >> (8 * UInt32(byte)))
                            }
                        case ek_bf16:
                            let half = narrowed(weight)
                            expected[place] = UInt8(truncatingIfNeeded: half)
                            expected[place + 1] = UInt8(truncatingIfNeeded: half >> 8)
                        default:
                            // As rounding has it, of a quotient or of a product with the inverse.
                            let packed = Int(Int8(bitPattern: layer.panels[place]))
                            let exact = Double(weight) / Double(scale)
                            #expect((Double(packed) - exact).magnitude <= 0.5 + 127 * 2 * floatEpsilon)
                            if limit > 0, input % 2 == 1 {
                                let before = layer.panels[layer.place(input: input - 1, output: output)]
                                #expect(abs(packed + Int(Int8(bitPattern: before))) <= limit)
                            }
                            expected[place] = layer.panels[place]
                            sum += packed
                        }
                    }
                    guard product.precision == ek_i8 else { continue }
                    #expect(layer.scales[output] == scale)
                    #expect(layer.sums[output] == scale * Float(sum))
                }
                #expect(layer.panels == expected, "\(inputs) → \(outputs)")
            }
        }
    }

    /// The greatest weight over 127, or the greatest pair over its limit where that is more.
    private func scale(of row: [Float], pairLimit: Int32) -> Float {
        let scale = row.reduce(0) { max($0, $1.magnitude) } / 127
        guard pairLimit > 0 else { return scale }
        let pairs = stride(from: 0, to: row.count - 1, by: 2).map { (0.5 * row[$0] + 0.5 * row[$0 + 1]).magnitude }
        return max(scale, (pairs.max() ?? 0) / (0.5 * Float(pairLimit)))
    }

    /// Pairs whose quotients lie above n + 1/2 both, by the rounding of the quotients alone.
    @Test(arguments: KernelTable.products.filter { $0.precision == ek_i8 })
    func aPairAtItsLimitIsNotRoundedBeyondIt(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        let limit = table.pointee.pair_limit
        for pair: [Float] in [[116.23927, 28.918062], [189.1604, 64.37396], [78.34401, 70.21945]] {
            for weights in [pair, pair.reversed(), pair.map { -$0 }] {
                let layer = PackedLayer(table, ek_i8, weights: weights, inputs: 2, outputs: 1)
                let values = (0..<2).map { Int(Int8(bitPattern: layer.panels[layer.place(input: $0, output: 0)])) }
                if limit > 0 { #expect(abs(values[0] + values[1]) <= limit, "\(weights)") }
                for (value, weight) in zip(values, weights) {
                    #expect((Float(value) - weight / layer.scales[0]).magnitude < 0.501)
                }
                #expect(layer.sums[0] == layer.scales[0] * Float(values[0] + values[1]))
            }
        }
    }

    /// Pairs at their limit under the greatest bytes: a sum that saturates would be off by thousands.
    @Test(arguments: KernelTable.products.filter { $0.precision == ek_i8 })
    func noPairOfProductsSaturates(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for sign: Float in [1, -1] {
            for (first, second): (Float, Float) in [(127, 1), (1, 127), (64, 64), (127, 127), (127, -127)] {
                let dense = DenseCase(DenseShape(precision: ek_i8, inputs: 65, outputs: 33, rows: 7), seed: 1)
                dense.weights = dense.weights.indices.map { sign * ($0 % 65 % 2 == 0 ? first : second) }
                memset(dense.input.base, 255, dense.input.rowCount * dense.input.stride)
                #expect(dense.mismatches(on: table).count == 0, "\(sign) · (\(first), \(second))")
            }
        }
    }

    @Test func anOutputWithoutWeightsHasAScale() throws {
        let layer = PackedLayer(ek_kernels_plain(), ek_i8, weights: [0, 0, 0], inputs: 3, outputs: 1)
        #expect(layer.scales[0] == 1 && layer.sums[0] == 0)
    }

    @Test func halvesAreWidenedExactly() {
        let halves = (UInt16.min...UInt16.max).map { $0 }
        var out = [Float](repeating: 0, count: halves.count)
        // At an odd address.
        var bytes: [UInt8] = [0]
        for half in halves { bytes += [UInt8(truncatingIfNeeded: half), UInt8(half >> 8)] }
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            ek_widen_f16(&out, base + 1, Int64(halves.count))
            #expect(
                zip(halves, out).allSatisfy { half, float in
                    let exact = Float(Float16(bitPattern: half))
                    return exact.isNaN ? float.isNaN : exact.bitPattern == float.bitPattern
                })
            ek_widen_bf16(&out, base + 1, Int64(halves.count))
            #expect(zip(halves, out).allSatisfy { UInt32($0) << 16 == $1.bitPattern })
        }
    }

    @Test func embeddingsAddWordsAndPositions() {
        var pool = NumberPool(seed: 1)
        for width in Array(1...33) + [384] {
            let (words, positions) = (pool.floats(7 * width), pool.floats(5 * width))
            let ids: [Int32] = [6, 0, 3, 3]
            let out = KernelRows(.writing, rowCount: 4, rowByteCount: 4 * width, gap: 4 * (width % 3))
            ek_embed_f32(out.floats(0), Int64(out.stride), words, positions, ids, 4, Int32(width))
            for (row, id) in ids.enumerated() {
                for column in 0..<width {
                    #expect(
                        out.floats(row)[column] == words[Int(id) * width + column] + positions[row * width + column])
                }
            }
            #expect(out.hasCanaries())
        }
    }

    @Test func poolingSumsAndTakesTheGreatest() {
        var pool = NumberPool(seed: 2)
        for width in Array(1...33) + [384] {
            for rowCount in [0, 1, 2, 17] {
                let rows = KernelRows(.reading, rowCount: rowCount, rowByteCount: 4 * width, gap: 8)
                pool.fill(rows, ek_f32)
                let out = KernelRows(.writing, rowCount: 1, rowByteCount: 4 * width)
                ek_sum_rows_f32(out.floats(0), rows.floats(0), Int64(rows.stride), Int32(rowCount), Int32(width))
                for column in 0..<width {
                    let exact = (0..<rowCount).reduce(Float(0)) { $0 + rows.floats($1)[column] }
                    #expect(out.floats(0)[column] == exact)
                }
                ek_max_rows_f32(out.floats(0), rows.floats(0), Int64(rows.stride), Int32(rowCount), Int32(width))
                for column in 0..<width {
                    let exact = (0..<rowCount).reduce(-Float.infinity) { max($0, rows.floats($1)[column]) }
                    #expect(out.floats(0)[column] == exact)
                }
                #expect(out.hasCanaries())
            }
        }
    }

    @Test func vectorsAreNormalisedAsPyTorchDoes() {
        var pool = NumberPool(seed: 3)
        for count in Array(1...33) + [384] {
            var values = pool.floats(count)
            let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            let exact = values.map { Double($0) / norm }
            ek_normalize_f32(&values, Int32(count))
            #expect(zip(values, exact).allSatisfy { (Double($0) - $1).magnitude <= floatEpsilon * $1.magnitude })
        }
        var tiny: [Float] = [1e-13, 0]
        ek_normalize_f32(&tiny, 2)
        #expect(tiny == [1e-13 / 1e-12, 0])
    }
}
