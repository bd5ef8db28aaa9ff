import CKernels
import Foundation
import Testing

/// Activations, softmax and quantization of every table against their definitions in double precision; so is the plain
/// twin.
@Suite(.onOwnThread)
struct RowKernelTests {
    private static let counts = Array(0...70) + [127, 128, 129, 1_000]

    @Test(arguments: KernelTable.present)
    func activationsAreTheirDefinitions(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for activation in ek_activation.all {
            for count in Self.counts {
                var pool = NumberPool(seed: count)
                let numbers = pool.floats(count).map { $0 * 12 }
                #expect(activationMismatches(numbers, activation, kernels) == 0, "\(activation.rawValue) of \(count)")
                if count == 0 { continue }
                // A tail that is not computed must show.
                let dropped = activationMismatches(numbers, activation, kernels, count: count - 1)
                let isKept = numbers[count - 1] > 0 && activation == ek_relu
                #expect(dropped > 0 || isKept || numbers[count - 1] > 4, "\(activation.rawValue) of \(count)")
            }
            let edges: [Float] = [
                0, -0.0, 1e-30, -1e-30, 1e-7, -1e-7, 4.49, -4.51, 5.99, -6.01, 30, -30, 88, -89, 1e4, -1e4,
            ]
            #expect(activationMismatches(edges, activation, kernels) == 0)
        }
    }

    /// The bound that CKernels.h names, all the way.
    @Test(arguments: KernelTable.present)
    func geluIsExactToFloat(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        let numbers = (-100_000...100_000).map { Float($0) / 10_000 }
        #expect(activationMismatches(numbers, ek_gelu_erf, kernels) == 0)
    }

    private func activationMismatches(
        _ numbers: [Float], _ activation: ek_activation, _ kernels: UnsafePointer<ek_kernels>, count: Int? = nil
    ) -> Int {
        let rows = KernelRows(.writing, rowCount: 1, rowByteCount: 4 * numbers.count)
        for (place, number) in numbers.enumerated() { rows.floats(0)[place] = number }
        kernels.pointee.activate(rows.floats(0), Int64(count ?? numbers.count), activation)
        let wrong = numbers.indices.count { place in
            let x = Double(numbers[place])
            let error = (Double(rows.floats(0)[place]) - activation.exact(x)).magnitude
            return !(error <= activation.tolerance(at: x, errorOfX: 0, isNarrow: false))
        }
        return wrong + (rows.hasCanaries() ? 0 : 1)
    }

    /// All bfloat16 numbers but denormal ones, through a layer that multiplies them by one.
    @Test(arguments: KernelTable.products.filter { $0.precision == ek_bf16 })
    func narrowActivationsAreTheirDefinitions(product: KernelTable.Product) throws {
        let kernels = try #require(product.table.pointer)
        let halves = (UInt16.min...UInt16.max).filter {
            !(widened($0).isSubnormal || widened($0).isNaN || widened($0).isInfinite)
        }
        for activation in ek_activation.all {
            let layer = PackedLayer(kernels, ek_bf16, weights: [1], inputs: 1, outputs: 1)
            let input = KernelRows(.reading, rowCount: halves.count, rowByteCount: 4)
            let out = KernelRows(.writing, rowCount: halves.count, rowByteCount: 2 * layer.columnCount)
            for (row, half) in halves.enumerated() {
                input.halves(row)[0] = half
                input.halves(row)[1] = 0
            }
            layer.withDense { dense in
                var rows = ek_dense_rows(
                    in: input.base, in_stride: 4, ranges: nil, tail: nil, tail_stride: 0, out: out.base,
                    out_stride: Int64(out.stride), residual: nil, epilogue: ek_activate_bf16, activation: activation)
                kernels.pointee.dense(&dense, &rows, Int32(halves.count), 0, Int32(layer.panelCount))
            }
            let wrong = halves.indices.filter { row in
                let x = Double(widened(halves[row]))
                let exact = activation.exact(x)
                let tolerance = activation.tolerance(at: x, errorOfX: 0, isNarrow: true)
                let error = (Double(out.value(row, 0, ek_bf16)) - exact).magnitude
                return !(error <= tolerance + bfloat16Epsilon / 2 * (exact.magnitude + tolerance))
            }
            #expect(
                wrong.isEmpty,
                "\(activation.rawValue): \(wrong.count), first at \(wrong.first.map { widened(halves[$0]) } ?? 0)"
            )
        }
    }

    /// Weights are exponentials with a relative error of some ε; what is below 2^-126 may be that.
    @Test(arguments: KernelTable.present)
    func softmaxIsItsDefinition(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for count in Array(1...70) + [127, 128, 129, 512] {
            #expect(softmaxMismatches(count, kernels) == 0, "\(count)")
            // A last column that is left out must show.
            #expect(count == 1 || softmaxMismatches(count, kernels, called: count - 1) > 0, "\(count)")
        }
    }

    private func softmaxMismatches(_ count: Int, _ kernels: UnsafePointer<ek_kernels>, called: Int? = nil) -> Int {
        let stride = (count + 15) / 16 * 16 + (count % 2) * 16
        let scores = KernelRows(.writing, rowCount: 5, rowByteCount: 4 * stride)
        let sums = KernelRows(.writing, rowCount: 1, rowByteCount: 5 * 4)
        var pool = NumberPool(seed: count)
        pool.fill(scores, ek_f32)
        for row in 0..<5 {
            for column in 0..<stride { scores.floats(row)[column] *= 20 }
            // The last one is the greatest of the first row; minus infinity counts for nothing.
            if row == 0 { scores.floats(0)[count - 1] = 25 }
            if row == 3, count > 1 { scores.floats(3)[0] = -.infinity }
        }
        let before = (0..<5).map { row in (0..<count).map { Double(scores.floats(row)[$0]) } }
        kernels.pointee.softmax(scores.floats(0), sums.floats(0), 5, Int32(called ?? count), Int32(stride))
        var wrong = scores.hasCanaries() && sums.hasCanaries() ? 0 : 1
        for row in 0..<5 {
            let greatest = before[row].reduce(-.infinity, max)
            var sum = 0.0
            for column in 0..<count {
                let exact = exp2(before[row][column] - greatest)
                sum += exact
                // The difference is rounded, and a power of two makes ln 2 of that; the polynomial and its rounding 2ε.
                let tolerance = floatEpsilon * exact * (2 + 0.35 * (before[row][column] - greatest).magnitude)
                let error = (Double(scores.floats(row)[column]) - exact).magnitude
                if !(error <= (tolerance.isNaN ? 0 : tolerance) + 0x1p-125) { wrong += 1 }
            }
            // Sums are K positive roundings of ε/2 at most, and the weights' errors.
            if !((Double(sums.floats(0)[row]) - sum).magnitude <= floatEpsilon * sum * (Double(count) / 2 + 8)) {
                wrong += 1
            }
        }
        return wrong
    }

    @Test(arguments: KernelTable.present)
    func quantizedRowsCoverTheirRange(table: KernelTable) throws {
        let kernels = try #require(table.pointer)
        for width in Array(1...70) + [127, 384, 1_537] {
            #expect(quantizationMismatches(width, kernels) == 0, "\(width)")
            // A last value that is left out must show: it is the greatest of the first row.
            #expect(quantizationMismatches(width, kernels, called: width - 1) > 0, "\(width)")
        }
    }

    private func quantizationMismatches(_ width: Int, _ kernels: UnsafePointer<ek_kernels>, called: Int? = nil) -> Int {
        let rowCount = width % 4 + 2
        let input = KernelRows(.reading, rowCount: rowCount, rowByteCount: 2 * width, gap: 2 * (width % 3))
        let out = KernelRows(.writing, rowCount: rowCount, rowByteCount: width, gap: width % 5)
        var pool = NumberPool(seed: width)
        pool.fill(input, ek_bf16)
        input.halves(0)[width - 1] = narrowed(3)
        // All alike.
        for column in 0..<width { input.halves(1)[column] = narrowed(0.7) }
        var ranges = Array(repeating: ek_range(scale: .nan, low: .nan), count: rowCount)
        kernels.pointee.quantize_bf16(
            out.bytes(0), Int64(out.stride), &ranges, input.halves(0), Int64(input.stride), Int32(rowCount),
            Int32(called ?? width))
        var wrong = out.hasCanaries() ? 0 : 1
        for row in 0..<rowCount {
            let values = (0..<width).map { input.value(row, $0, ek_bf16) }
            wrong += Quantized(range: ranges[row], bytes: out.bytes(row)).mismatches(
                values.map(Double.init), tolerance: 0)
        }
        return wrong
    }
}

/// A quantized row, as a dense layer takes it.
struct Quantized {
    let range: ek_range
    let bytes: UnsafeMutablePointer<UInt8>

    /// Values that the bytes do not stand for: each within half a step, the roundings of the range and of the quotient
    /// (ε of 256 steps) and what the value itself may be off by. The range must fit the values, with 256 steps.
    func mismatches(_ values: [Double], tolerance: Double) -> Int {
        let (low, high) = (values.reduce(.infinity, min), values.reduce(-.infinity, max))
        let step = Double(range.scale)
        let slack = 2 * tolerance + 4 * floatEpsilon * max(low.magnitude, high.magnitude) + 1e-12
        var wrong = (step - (high - low) / 255).magnitude <= slack / 255 + 1e-12 ? 0 : 1
        if !((Double(range.low) - low).magnitude <= slack) { wrong += 1 }
        for (place, value) in values.enumerated() {
            let meant = Double(range.low) + step * Double(bytes[place])
            if !((meant - value).magnitude <= step * (0.5 + 256 * 4 * floatEpsilon) + slack) { wrong += 1 }
        }
        return wrong
    }
}
