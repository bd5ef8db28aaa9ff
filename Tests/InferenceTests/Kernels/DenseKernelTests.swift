import CKernels
import Testing

/// Dense layers of every table against the plain twin, over odd sizes, and the plain twin against the definition.
@Suite(.onOwnThread)
struct DenseKernelTests {
    /// Numbers of inputs and of outputs up to 70, some of all pairs, with every number of rows up to 30 and every
    /// epilogue in turn.
    @Test(arguments: KernelTable.products)
    func productsAgreeAtEverySize(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        var index = 0
        for inputs in 1...70 {
            for outputs in 1...70 where (7 * inputs + outputs) % sweepStep == 0 {
                let shape = shape(product, inputs: inputs, outputs: outputs, rows: index % 30 + 1, index)
                index += 1
                let found = DenseCase(shape, seed: index).mismatches(on: table)
                #expect(found.count == 0, "\(found)")
            }
        }
        #expect(index >= 70 * (70 / sweepStep))
    }

    @Test(arguments: KernelTable.products)
    func productsAgreeWithEveryEpilogueAndRowCount(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for rows in stride(from: 1, through: 30, by: sweepStep / 2) {
            for index in DenseShape.epilogues.indices {
                let shape = shape(product, inputs: 33 - index, outputs: 37 + index, rows: rows, index)
                let found = DenseCase(shape, seed: rows).mismatches(on: table)
                #expect(found.count == 0, "\(found)")
            }
        }
    }

    @Test(arguments: KernelTable.products)
    func productsAgreeAtGreatSizes(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        let sizes = [(384, 129, 26), (127, 300, 65), (1_025, 65, 13), (1_536, 33, 5), (5, 513, 3), (771, 97, 64)]
        for (index, (inputs, outputs, rows)) in sizes.enumerated() {
            let shape = shape(product, inputs: inputs, outputs: outputs, rows: rows, index)
            let found = DenseCase(shape, seed: index).mismatches(on: table)
            #expect(found.count == 0, "\(found)")
        }
    }

    /// A comparison that would not notice proves nothing: each fault, planted in each small shape, must show.
    @Test(arguments: KernelTable.products)
    func plantedFaultsShow(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for inputs in stride(from: 1, through: 70, by: sweepStep / 2) {
            var shape = shape(product, inputs: inputs, outputs: (inputs * 13) % 70 + 1, rows: inputs % 30 + 1, 0)
            shape.epilogue = ek_store_f32
            let dense = DenseCase(shape, seed: inputs)
            for fault in PlantedFault.allCases where fault != .dropsLastTailInput || shape.tail > 0 {
                let found = dense.mismatches(on: table, fault: fault)
                #expect(found.count > 0, "\(fault) at \(shape)")
            }
        }
        // Where rounding may hide it best: many inputs, a narrow result.
        for inputs in [384, 1_025, 1_536] {
            var shape = shape(product, inputs: inputs, outputs: 70, rows: 30, 0)
            if product.table != .openblas { (shape.epilogue, shape.activation) = (ek_activate_bf16, ek_gelu_erf) }
            let found = DenseCase(shape, seed: inputs).mismatches(on: table, fault: .dropsLastInput)
            #expect(found.count > 0, "\(shape)")
        }
    }

    @Test(arguments: KernelTable.products)
    func somePanelsAreWrittenAlone(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        let width = Int(table.pointee.panel_width)
        for (index, (epilogue, activation)) in DenseShape.epilogues.enumerated() {
            var shape = shape(product, inputs: 19, outputs: 4 * width - 3, rows: 7, index)
            (shape.epilogue, shape.activation) = (epilogue, activation)
            if product.table == .openblas, shape.isNarrow { continue }
            // A residual in place would stand where nothing may be written.
            shape.gap = 3
            let dense = DenseCase(shape, seed: index)
            let whole = dense.run(on: table)
            let part = dense.run(on: table, panels: 1..<3)
            let none = dense.run(on: table, panels: 2..<2)
            let valueByteCount = shape.isNarrow ? 2 : 4
            for row in 0..<shape.rows {
                let (first, end) = (width * valueByteCount, 3 * width * valueByteCount)
                #expect(memory(part.row(row), first..<end) == memory(whole.row(row), first..<end), "\(shape)")
                #expect(KernelRows.areCanaries(part.row(row), first), "\(shape): wrote before its panels")
                #expect(KernelRows.areCanaries(part.row(row) + end, part.rowByteCount - end), "\(shape): and behind")
                #expect(KernelRows.areCanaries(none.row(row), none.rowByteCount), "\(shape): wrote without panels")
            }
            #expect(whole.hasCanaries() && part.hasCanaries())
        }
    }

    private func memory(_ base: UnsafeMutableRawPointer, _ range: Range<Int>) -> [UInt8] {
        range.map { base.load(fromByteOffset: $0, as: UInt8.self) }
    }

    /// A row's bits are the same whatever rows stand beside it, and however many.
    @Test(arguments: KernelTable.products)
    func aRowAloneHasTheSameBits(product: KernelTable.Product) throws {
        let table = try #require(product.table.pointer)
        for rows in [2, 5, 11, 12, 13, 25, 30, 65] {
            var shape = shape(product, inputs: 3 * rows, outputs: 45, rows: rows, 0)
            shape.gap = 0
            shape.tail = product.precision == ek_i8 ? 6 : 0
            let dense = DenseCase(shape, seed: rows)
            let all = dense.run(on: table)
            for row in [0, rows / 2, rows - 1] {
                let alone = DenseCase(dense, rows: row..<row + 1).run(on: table)
                #expect(
                    memory(alone.row(0), 0..<shape.outputs * 4) == memory(all.row(row), 0..<shape.outputs * 4),
                    "\(shape): row \(row)")
            }
        }
    }

    /// The plain twin's own oracle: each product in double precision.
    @Test func plainProductsAreTheirDefinition() {
        for precision in [ek_f32, ek_bf16, ek_i8] {
            for (inputs, outputs, rows) in [(1, 1, 1), (2, 17, 3), (7, 16, 2), (33, 5, 4), (70, 35, 3), (385, 20, 2)] {
                let shape = DenseShape(
                    precision: precision, inputs: inputs, outputs: outputs, rows: rows,
                    tail: precision == ek_i8 ? inputs % 5 : 0, gap: inputs % 3)
                let dense = DenseCase(shape, seed: inputs)
                let out = dense.run(on: ek_kernels_plain())
                for row in 0..<rows {
                    for column in 0..<outputs {
                        let exact = dense.exactProduct(row: row, column: column)
                        let error = (Double(out.floats(row)[column]) - exact.value).magnitude
                        #expect(error <= exact.tolerance, "\(shape): row \(row), column \(column)")
                    }
                }
            }
        }
    }

    /// Sizes, with epilogue, gap and tail by turns.
    private func shape(
        _ product: KernelTable.Product, inputs: Int, outputs: Int, rows: Int, _ index: Int
    ) -> DenseShape {
        let (epilogue, activation) = DenseShape.epilogues[index % DenseShape.epilogues.count]
        var shape = DenseShape(
            precision: product.precision, inputs: inputs, outputs: outputs, rows: rows, epilogue: epilogue,
            activation: activation, gap: [0, 1, 16, 5][index / 3 % 4])
        if product.precision == ek_i8 { shape.tail = [0, 2, 1, 8, 17][index / 2 % 5] }
        // OpenBLAS serves float32 alone.
        if product.table == .openblas, shape.isNarrow {
            shape.epilogue = epilogue == ek_store_bf16 ? ek_store_f32 : ek_activate_f32
        }
        return shape
    }
}

extension DenseCase {
    /// One product by its definition, bias added, and what the plain twin may be off by. For i8 the weights are those
    /// that rounding to a scale of the output's greatest over 127 gives.
    func exactProduct(row: Int, column: Int) -> (value: Double, tolerance: Double) {
        let row0 = weights[column * shape.inputs..<(column + 1) * shape.inputs]
        var (sum, depth) = (0.0, 0.0)
        switch shape.precision {
        case ek_f32:
            for (input, weight) in row0.enumerated() { sum += Double(self.input.floats(row)[input]) * Double(weight) }
            depth = Double(shape.inputs)
        case ek_bf16:
            for (input, weight) in row0.enumerated() {
                sum += Double(widened(self.input.halves(row)[input])) * Double(widened(narrowed(weight)))
            }
            depth = Double(shape.inputs)
        default:
            let scale = Double(row0.reduce(0) { max($0, $1.magnitude) } / 127)
            for (input, weight) in row0.enumerated() {
                let value = Double(ranges[row].low) + Double(ranges[row].scale) * Double(self.input.bytes(row)[input])
                sum += value * scale * (Double(weight) / scale).rounded(.toNearestOrEven)
                // The terms of the sum of weights, and of the product, are greater than what they come to.
                depth += 4 * (Double(ranges[row].low.magnitude) + 255 * Double(ranges[row].scale)) / 2
            }
            for input in 0..<shape.tail {
                let weight = widened(narrowed(tailWeights[column * shape.tail + input]))
                sum += Double(widened(tailInput.halves(row)[input])) * Double(weight)
            }
            depth += Double(shape.tail)
        }
        let value = sum + Double(bias[column])
        return (value, floatEpsilon * (depth + 4 * (1 + value.magnitude)))
    }
}
