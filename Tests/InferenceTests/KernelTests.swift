import CKernels
import Foundation
import Testing

/// Every fast kernel against its plain twin: odd sizes, tails, one row, NaN.
struct KernelTests {
    enum Fast: String, CaseIterable {
        case avx2, avx512

        /// Nil where this processor lacks them.
        var table: ek_kernels? {
            switch self {
            case .avx2: ek_kernels_avx2()?.pointee
            case .avx512: ek_kernels_avx512()?.pointee
            }
        }
    }

    static let fast = Fast.allCases.filter { $0.table != nil }
    private let plain = ek_kernels_plain().pointee
    private var random = SeededRandom(state: 11)

    private mutating func values(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &random) }
    }

    private func expectClose(
        _ values: [Float], _ expected: [Float], within tolerance: Float, _ what: String,
        at location: SourceLocation = #_sourceLocation
    ) {
        let bad = zip(values, expected).enumerated().first { _, pair in
            if pair.1.isNaN { return !pair.0.isNaN }
            return !((pair.0 - pair.1).magnitude <= tolerance * max(1, pair.1.magnitude))
        }
        #expect(bad == nil, "\(what): \(String(describing: bad))", sourceLocation: location)
    }

    @Test(arguments: fast)
    mutating func activationsAgree(fast: Fast) throws {
        let fast = try #require(fast.table)
        let pairs = [
            ("gelu", fast.gelu_erf_f32, plain.gelu_erf_f32),
            ("gelu_tanh", fast.gelu_tanh_f32, plain.gelu_tanh_f32),
            ("silu", fast.silu_f32, plain.silu_f32), ("relu", fast.relu_f32, plain.relu_f32),
        ]
        for (name, fast, plain) in pairs {
            for count in [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 1_000] {
                var left = values(count + 1, in: -12...12)
                if count > 2 { left[count / 2] = .nan }
                var right = left
                fast(&left, Int64(count))
                plain(&right, Int64(count))
                #expect(left[count] == right[count], "\(name) wrote past its end")
                expectClose(left, right, within: 3e-7, "\(name) of \(count)")
            }
            // Every sign, tiny and huge.
            var left = [0, -0.0, 1e-30, -1e-30, 1e-7, -1e-7, 5.9, -5.9, 6.1, -6.1, 30, -30, 100, -100, 1e30, -1e30]
                .map(Float.init)
            var right = left
            fast(&left, Int64(left.count))
            plain(&right, Int64(right.count))
            expectClose(left, right, within: 3e-7, "\(name) at the edges")
        }
    }

    /// The twins against the definition in double precision.
    @Test mutating func geluIsExactToFloat() {
        for kernels in [plain] + Self.fast.compactMap(\.table) {
            let x = (-80_000...80_000).map { Float($0) / 10_000 }
            var y = x
            kernels.gelu_erf_f32(&y, Int64(y.count))
            let worst = zip(x, y).reduce(0.0) { worst, pair in
                let x = Double(pair.0)
                let exact = 0.5 * x * erfc(-x / 2.0.squareRoot())
                return max(worst, (Double(pair.1) - exact).magnitude / max(1, exact.magnitude))
            }
            #expect(worst < 2e-7)
        }
    }

    @Test(arguments: fast)
    mutating func layerNormsAgree(fast: Fast) throws {
        let fast = try #require(fast.table)
        for width in [1, 2, 7, 8, 15, 16, 17, 33, 50, 384, 385] {
            for rows in [1, 2, 5] {
                let gamma = values(width)
                let beta = values(width)
                var left = values(rows * width + 1, in: -3...5)
                if rows == 5 { left[4 * width] = .nan }
                var right = left
                fast.layer_norm_f32(&left, gamma, beta, 1e-5, Int32(rows), Int32(width))
                plain.layer_norm_f32(&right, gamma, beta, 1e-5, Int32(rows), Int32(width))
                #expect(left[rows * width] == right[rows * width], "wrote past its end")
                expectClose(left, right, within: 4e-6, "\(rows) rows of \(width)")
            }
        }
    }

    @Test(arguments: fast)
    mutating func softmaxesAgree(fast: Fast) throws {
        let fast = try #require(fast.table)
        for count in [1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 100, 512] {
            let stride = (count + 31) / 32 * 32
            var left = values(4 * stride, in: -30...30)
            left[3 * stride + count / 2] = .nan
            left[2 * stride] = -.infinity
            if count == 1 { left[2 * stride] = 3 }
            var right = left
            var leftSums = [Float](repeating: 0, count: 4)
            var rightSums = leftSums
            fast.softmax_f32(&left, &leftSums, 4, Int32(count), Int32(stride))
            plain.softmax_f32(&right, &rightSums, 4, Int32(count), Int32(stride))
            for row in 0..<4 {
                let columns = row * stride..<row * stride + count
                if rightSums[row].isNaN { continue }
                expectClose(Array(left[columns]), Array(right[columns]), within: 3e-7, "softmax of \(count)")
            }
            expectClose(leftSums, rightSums, within: 1e-6, "sums of \(count)")
        }
    }

    @Test(arguments: fast)
    mutating func attentionsAgree(fast: Fast) throws {
        let fast = try #require(fast.table)
        for (heads, size) in [(1, 1), (2, 16), (3, 20), (1, 33), (12, 32), (2, 64), (1, 80)] {
            for (queries, keys) in [(1, 1), (2, 1), (4, 4), (5, 5), (12, 12), (13, 13), (33, 20), (100, 100)] {
                let width = heads * size
                let qkv = values(queries * 3 * width)
                var left = [Float](repeating: 9, count: queries * width + 1)
                var right = left
                attend(fast, qkv, &left, queries, keys, heads, size)
                attend(plain, qkv, &right, queries, keys, heads, size)
                #expect(left[queries * width] == 9, "wrote past its end")
                expectClose(left, right, within: 5e-6, "\(heads) heads of \(size), \(queries) queries, \(keys) keys")
            }
        }
    }

    @Test mutating func attentionIgnoresMaskedRows() {
        for kernels in [plain] + Self.fast.compactMap(\.table) {
            let width = 40
            var qkv = values(9 * 3 * width)
            var before = [Float](repeating: 0, count: 9 * width)
            attend(kernels, qkv, &before, 9, 6, 2, 20)
            for place in 6 * 3 * width..<9 * 3 * width { qkv[place] = .nan }
            var after = before
            attend(kernels, qkv, &after, 9, 6, 2, 20)
            #expect(before[0..<6 * width] == after[0..<6 * width])
            #expect(after[6 * width].isNaN)
        }
    }

    private func attend(
        _ kernels: ek_kernels, _ qkv: [Float], _ out: inout [Float], _ queries: Int, _ keys: Int, _ heads: Int,
        _ size: Int
    ) {
        let count = Int(ek_attention_scratch_count(Int32(queries), Int32(size)))
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: count + 1)
        defer { scratch.deallocate() }
        // Stale scratch must not show.
        scratch.initialize(repeating: .nan, count: count + 1)
        scratch[count] = 5
        kernels.attention_f32(
            &out, qkv, scratch, Int32(queries), Int32(keys), Int32(heads), Int32(size),
            1 / Float(size).squareRoot())
        #expect(scratch[count] == 5, "scratch overrun")
    }

    @Test func halvesAreWidenedExactly() {
        let halves = (UInt16.min...UInt16.max).map { $0 }
        var out = [Float](repeating: 0, count: halves.count)
        halves.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { ek_widen_f16(&out, base, Int64(halves.count)) }
        }
        #expect(
            zip(halves, out).allSatisfy { half, float in
                let exact = Float(Float16(bitPattern: half))
                return exact.isNaN ? float.isNaN : exact.bitPattern == float.bitPattern
            })
    }
}
