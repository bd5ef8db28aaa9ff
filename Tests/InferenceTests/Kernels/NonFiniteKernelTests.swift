import CKernels
import Testing

/// What CKernels.h says of NaN, infinities and denormals.
@Suite(.onOwnThread)
struct NonFiniteKernelTests {
    /// Quiet, negative, signalling, and with every payload: the processor's own is the first or the second.
    private static let nans: [Float] = [0x7FC0_0000, 0xFFC0_0000, 0x7FC0_0001, 0x7FA0_0000, 0x7FFF_FFFF, 0x7FC0_01FF]
        .map {
            Float(bitPattern: $0)
        }

    @Test(arguments: KernelTable.products)
    func aNaNStaysInItsRowOfAProduct(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for (index, (epilogue, activation)) in DenseShape.epilogues.enumerated() {
            let isNarrow = epilogue == ek_store_bf16 || epilogue == ek_activate_bf16
            if product.table == .openblas, isNarrow { continue }
            let shape = DenseShape(
                precision: product.precision, inputs: 35, outputs: 50, rows: 14, epilogue: epilogue,
                activation: activation)
            let clean = DenseCase(shape, seed: index)
            let before = clean.run(on: table)
            for (place, nan) in Self.nans.enumerated() {
                let poisoned = DenseCase(clean, rows: 0..<14)
                let row = place * 2
                switch product.precision {
                case ek_f32: poisoned.input.floats(row)[34 - place] = nan
                case ek_bf16: poisoned.input.halves(row)[34 - place] = UInt16(nan.bitPattern >> 16)
                default: poisoned.ranges[row].scale = nan
                }
                let after = poisoned.run(on: table)
                let stored = isNarrow ? ek_bf16 : ek_f32
                let wrong = (0..<shape.outputs).count { column in
                    !after.value(row, column, stored).isNaN
                        || (0..<14).contains {
                            $0 != row && after.value($0, column, stored) != before.value($0, column, stored)
                        }
                }
                #expect(wrong == 0, "\(shape): \(nan.bitPattern)")
            }
        }
    }

    /// A layer's own: in its output alone.
    @Test(arguments: KernelTable.products)
    func aWeightThatIsNotFiniteShowsInItsOutput(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for poison in Self.nans + [.infinity, -.infinity] {
            var pool = NumberPool(seed: 1)
            var weights = pool.floats(9 * 20)
            weights[7 * 9 + 4] = poison
            let layer = PackedLayer(table, product.precision, weights: weights, inputs: 9, outputs: 20)
            let input = KernelRows(.reading, rowCount: 64, rowByteCount: 36)
            pool.fill(input, product.precision)
            let out = KernelRows(.writing, rowCount: 1, rowByteCount: 4 * layer.columnCount)
            let range = [ek_range(scale: 0.01, low: -1)]
            layer.withDense { dense in
                range.withUnsafeBufferPointer { range in
                    var rows = ek_dense_rows(
                        in: input.base, in_stride: 36, ranges: range.baseAddress, tail: nil, tail_stride: 0,
                        out: out.base, out_stride: Int64(out.stride), residual: nil, epilogue: ek_store_f32,
                        activation: ek_relu)
                    table.pointee.dense(&dense, &rows, 1, 0, Int32(layer.panelCount))
                }
            }
            for output in 0..<20 { #expect(out.floats(0)[output].isFinite == (output != 7), "\(poison) at \(output)") }
        }
    }

    @Test(arguments: KernelTable.products.filter { $0.precision != ek_i8 })
    func infinitiesAreAddedAsIEEEHasIt(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        let shape = DenseShape(precision: product.precision, inputs: 12, outputs: 40, rows: 3)
        let dense = DenseCase(shape, seed: 5)
        dense.input.set(.infinity, 0, 3, product.precision)
        dense.input.set(-.infinity, 1, 11, product.precision)
        dense.input.set(.infinity, 2, 0, product.precision)
        dense.input.set(.infinity, 2, 7, product.precision)
        let (out, plain) = (dense.run(on: table), dense.run(on: ek_kernels_plain()))
        for row in 0..<3 {
            for column in 0..<40 {
                let (value, expected) = (out.floats(row)[column], plain.floats(row)[column])
                #expect(value == expected || value.isNaN && expected.isNaN)
                #expect(!expected.isFinite)
            }
        }
    }

    /// At minus infinity the formulas are an infinity times zero.
    @Test(arguments: KernelTable.present)
    func activationsOfWhatIsNotFinite(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for activation in ek_activation.all {
            var values = Self.nans + [.infinity, -.infinity, 1, -1]
            values += values + values
            kernels.pointee.activate(&values, Int64(values.count), activation)
            for start in stride(from: 0, to: values.count, by: 10) {
                #expect(values[start..<start + 6].allSatisfy { $0.isNaN }, "\(activation.rawValue)")
                #expect(values[start + 6] == .infinity)
                let least = values[start + 7]
                #expect(
                    activation == ek_relu ? least == 0 : least.isNaN || least == -.infinity || least.magnitude < 1e-6)
                #expect((Double(values[start + 8]) - activation.exact(1)).magnitude < 1e-6)
                #expect((Double(values[start + 9]) - activation.exact(-1)).magnitude < 1e-6)
            }
        }
    }

    @Test(arguments: KernelTable.present)
    func aNaNStaysInItsRowOfASoftmax(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for nan in Self.nans {
            for count in [1, 2, 15, 16, 17, 40] {
                for place in [0, count / 2, count - 1] {
                    var pool = NumberPool(seed: count)
                    var scores = pool.floats(3 * 48)
                    var sums = pool.floats(3)
                    scores[48 + place] = nan
                    kernels.pointee.softmax(&scores, &sums, 3, Int32(count), 48)
                    #expect(sums[1].isNaN && sums[0] >= 1 && sums[2] >= 1, "\(nan.bitPattern) at \(place) of \(count)")
                }
            }
        }
    }

    /// In a key or a value: in all queries of its head. In a query: there alone.
    @Test(arguments: KernelTable.withAttention, [ek_f32.rawValue, ek_bf16.rawValue])
    func aNaNStaysInItsTextAndShows(table: KernelTable, precision: UInt32) throws {
        let kernels = try #require(table.pointer)
        let precision = ek_precision(precision)
        for nan in Self.nans {
            for place in 0..<3 {
                let shape = AttentionShape(precision: precision, queries: 15, keys: 13, heads: 3, headSize: 20)
                let attention = AttentionCase(shape, seed: 3)
                let before = attention.run(on: kernels).out
                let poisoned = [attention.queries, attention.keys, attention.values][place]
                if precision == ek_f32 {
                    poisoned.floats(11)[25] = nan
                } else {
                    poisoned.halves(11)[25] = UInt16(nan.bitPattern >> 16)
                }
                let after = attention.run(on: kernels).out
                var wrong = 0
                for row in 0..<15 {
                    for column in 0..<60 {
                        let value = after.value(row, column, precision)
                        let isTheirs =
                            place == 2 ? column == 25 : (20..<40).contains(column) && (place == 1 || row == 11)
                        let isRight = isTheirs ? value.isNaN : value == before.value(row, column, precision)
                        if !isRight { wrong += 1 }
                    }
                }
                #expect(wrong == 0, "\(nan.bitPattern) in \(["query", "key", "value"][place])")
            }
        }
    }

    /// A row that is not finite is NaN behind its norm, in floats and in each copy; for bytes the range's scale says
    /// so.
    @Test(arguments: KernelTable.withAttention)
    func aNormOfWhatIsNotFiniteIsNaN(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for poison in Self.nans + [.infinity, -.infinity] {
            for width in [1, 7, 16, 33] {
                for place in [0, width - 1] {
                    var pool = NumberPool(seed: width)
                    var rows = pool.floats(3 * width)
                    rows[width + place] = poison
                    let ones = Array(repeating: Float(1), count: width)
                    var bytes = Array(repeating: UInt8(0), count: 3 * width)
                    var ranges = Array(repeating: ek_range(scale: 0, low: 0), count: 3)
                    ones.withUnsafeBufferPointer { ones in
                        bytes.withUnsafeMutableBytes { bytes in
                            ranges.withUnsafeMutableBufferPointer { ranges in
                                guard let ones = ones.baseAddress, let bytes = bytes.baseAddress else { return }
                                var norm = ek_norm(
                                    gamma: ones, beta: ones, quantized_gamma: ones, quantized_beta: ones,
                                    tail_columns: nil, tail_beta: nil, tail_count: 0, epsilon: 1e-5,
                                    width: Int32(width))
                                var copy = ek_copy(
                                    precision: ek_i8, rows: bytes, stride: Int64(width), ranges: ranges.baseAddress,
                                    tail: nil, tail_stride: 0)
                                kernels.pointee.layer_norm(&rows, Int64(4 * width), &norm, &copy, 3)
                            }
                        }
                    }
                    #expect(
                        rows[width..<2 * width].allSatisfy { $0.isNaN }, "\(poison.bitPattern) at \(place) of \(width)")
                    #expect(
                        rows[..<width].allSatisfy { $0.isFinite } && rows[(2 * width)...].allSatisfy { $0.isFinite })
                    #expect(ranges.map(\.scale.isNaN) == [false, true, false])
                }
            }
        }
    }

    @Test(arguments: KernelTable.present)
    func aQuantizedRowThatIsNotFiniteIsNaN(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for poison in Self.nans + [.infinity, -.infinity] {
            for width in [1, 7, 16, 33] {
                for place in [0, width - 1] {
                    var pool = NumberPool(seed: width)
                    var rows = pool.floats(3 * width).map(narrowed)
                    rows[width + place] = UInt16(poison.bitPattern >> 16)
                    var bytes = Array(repeating: UInt8(0), count: 3 * width)
                    var ranges = Array(repeating: ek_range(scale: 0, low: 0), count: 3)
                    kernels.pointee.quantize_bf16(
                        &bytes, Int64(width), &ranges, &rows, Int64(2 * width), 3, Int32(width))
                    #expect(
                        ranges.map(\.scale.isNaN) == [false, true, false], "\(poison.bitPattern), \(place) of \(width)")
                }
            }
        }
    }

    /// The thread's control word decides; the instructions for bfloat16 take denormal operands for zero whatever it
    /// says.
    @Test(arguments: KernelTable.products.filter { $0.precision != ek_i8 })
    func denormalsCountAsTheThreadSays(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        let shape = DenseShape(precision: product.precision, inputs: 1, outputs: 1, rows: 1)
        let layer = PackedLayer(table, product.precision, weights: [1], inputs: 1, outputs: 1)
        let input = KernelRows(.reading, rowCount: 64, rowByteCount: 4)
        let out = KernelRows(.writing, rowCount: 1, rowByteCount: 4 * layer.columnCount)
        for row in 0..<64 {
            input.floats(row)[0] = 0
            input.set(0x1p-130, row, 0, shape.precision)
        }
        func multiplied() -> Float {
            layer.withDense { dense in
                var rows = ek_dense_rows(
                    in: input.base, in_stride: 4, ranges: nil, tail: nil, tail_stride: 0, out: out.base,
                    out_stride: Int64(out.stride), residual: nil, epilogue: ek_store_f32, activation: ek_relu)
                table.pointee.dense(&dense, &rows, 1, 0, Int32(layer.panelCount))
            }
            return out.floats(0)[0]
        }
        let hasOwnInstructions =
            (product.table.rawValue.hasSuffix("bf16") || product.table == .amx) && shape.precision == ek_bf16
        #expect(multiplied() == (hasOwnInstructions ? 0 : 0x1p-130))
        let control = ek_flush_denormals()
        let flushed = multiplied()
        ek_restore_denormals(control)
        #expect(flushed == 0)
        #expect(multiplied() == (hasOwnInstructions ? 0 : 0x1p-130))
    }
}
