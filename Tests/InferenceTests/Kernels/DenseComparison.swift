import CKernels

extension DenseCase {
    /// What the plain twin's products must become, and how far a table may be from it: (rows, outputs).
    ///
    /// K products of numbers in ±1 walk about √K / 3 far, and each of K roundings takes or gives up to ε/2 of where the
    /// walk is: with random signs √K · √K / 3 · ε / 2. K·ε is six times that, on each side three; and a product that is
    /// missing is some hundred thousand times as great. Sums of bytes are exact, so for i8 only the epilogue's three
    /// roundings count, each of the terms' size, and the conversion of the sum. A bias, a residual and a narrowing add
    /// half an ε each of what they round.
    private func expectations(of products: KernelRows, sums: [Float]) -> [(value: Double, tolerance: Double)] {
        var expectations: [(value: Double, tolerance: Double)] = []
        expectations.reserveCapacity(shape.rows * shape.outputs)
        let depth = Double((shape.precision == ek_i8 ? 0 : shape.inputs) + shape.tail)
        for row in 0..<shape.rows {
            for column in 0..<shape.outputs {
                let product = Double(products.floats(row)[column])
                var terms = product.magnitude + 2 * Double(bias[column].magnitude) + 1
                if shape.precision == ek_i8 { terms += 2 * Double((ranges[row].low * sums[column]).magnitude) }
                var tolerance = floatEpsilon * (depth + 4 * terms)
                var value = product
                if shape.epilogue == ek_add_f32 {
                    value += Double(residual[row * shape.outputs + column])
                    tolerance += floatEpsilon * value.magnitude
                }
                if shape.activates {
                    value = shape.activation.exact(product)
                    tolerance = shape.activation.tolerance(at: product, errorOfX: tolerance, isNarrow: shape.isNarrow)
                }
                if shape.isNarrow { tolerance += bfloat16Epsilon / 2 * (value.magnitude + tolerance) }
                expectations.append((value, tolerance))
            }
        }
        return expectations
    }

    /// Where a table's rows are not the plain twin's: the first place, and how many.
    func mismatches(on table: UnsafePointer<ek_kernels>, fault: PlantedFault? = nil) -> (count: Int, first: String) {
        let plain = KernelTable.twin(of: table)
        let products = run(on: plain, epilogue: ek_store_f32)
        let expectations = expectations(of: products, sums: shape.precision == ek_i8 ? packed(for: plain).sums : [])
        let out = run(on: table, fault: fault)
        let stored = shape.isNarrow ? ek_bf16 : ek_f32
        var (count, first) = (0, "")
        for row in 0..<shape.rows {
            for column in 0..<shape.outputs {
                let value = Double(out.value(row, column, stored))
                let expected = expectations[row * shape.outputs + column]
                if (value - expected.value).magnitude <= expected.tolerance { continue }
                if count == 0 { first = "\(shape): row \(row), column \(column): \(value), expected \(expected)" }
                count += 1
            }
        }
        if !out.hasCanaries() {
            if count == 0 { first = "\(shape): wrote beside its rows" }
            count += 1
        }
        return (count, first)
    }
}
