import CKernels
import Testing

/// Attention of every table against the plain twin, and the plain twin against the definition.
@Suite(.onOwnThread)
struct AttentionKernelTests {
    private static let headSizes = [1, 2, 3, 5, 16, 31, 32, 33, 64, 80]

    @Test(arguments: KernelTable.withAttention, [ek_f32.rawValue, ek_bf16.rawValue])
    func attentionAgreesAtEverySize(table: KernelTable, precision: UInt32) throws {
        let kernels = try #require(table.pointer)
        for (index, headSize) in Self.headSizes.enumerated() {
            for keys in 1...70 where (keys + index) % sweepStep == 0 || [1, 31, 32, 33, 64, 65].contains(keys) {
                // As many queries as keys, fewer and more: a padded sequence has more.
                let queries = [1, keys, keys % 13 + 1, keys + 5, max(1, keys - 1)][(keys + index) % 5]
                let shape = AttentionShape(
                    precision: ek_precision(precision), queries: queries, keys: keys, heads: keys % 3 + 1,
                    headSize: headSize, gap: [0, 1, 7][keys % 3])
                let attention = AttentionCase(shape, seed: keys)
                let found = attention.mismatches(on: kernels, expected: attention.plain())
                #expect(found.count == 0, "\(found)")
            }
        }
    }

    @Test(arguments: [ek_f32.rawValue, ek_bf16.rawValue])
    func plainAttentionIsItsDefinition(precision: UInt32) {
        for headSize in Self.headSizes {
            for (queries, keys) in [(1, 1), (3, 2), (2, 17), (7, 33)] {
                let shape = AttentionShape(
                    precision: ek_precision(precision), queries: queries, keys: keys, heads: 2, headSize: headSize)
                let attention = AttentionCase(shape, seed: keys)
                let found = attention.mismatches(on: ek_kernels_plain(), expected: attention.exact())
                #expect(found.count == 0, "\(found)")
            }
        }
    }

    /// A comparison that would not notice proves nothing: each fault must show at each size.
    @Test(arguments: KernelTable.withAttention, [ek_f32.rawValue, ek_bf16.rawValue])
    func plantedFaultsShow(table: KernelTable, precision: UInt32) throws {
        let kernels = try #require(table.pointer)
        for headSize in Self.headSizes {
            for keys in sweepStep > 2 ? [3, 32, 65] : [2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 70] {
                let shape = AttentionShape(
                    precision: ek_precision(precision), queries: 9, keys: keys, heads: 2, headSize: headSize)
                for fault in AttentionFault.allCases {
                    let attention = AttentionCase(shape, seed: keys)
                    let found = attention.mismatches(on: kernels, expected: attention.plain(), fault: fault)
                    #expect(found.count > 0, "\(fault) at \(shape)")
                }
            }
        }
    }

    @Test(arguments: KernelTable.withAttention, [ek_f32.rawValue, ek_bf16.rawValue])
    func someHeadsAreWrittenAlone(table: KernelTable, precision: UInt32) throws {
        let kernels = try #require(table.pointer)
        for headSize in Self.headSizes {
            let shape = AttentionShape(
                precision: ek_precision(precision), queries: 14, keys: 14, heads: 4, headSize: headSize, gap: 2)
            let attention = AttentionCase(shape, seed: headSize)
            let whole = attention.run(on: kernels).out
            let part = attention.run(on: kernels, heads: 1..<3).out
            let byteCount = headSize * shape.precision.valueByteCount
            let wrong = (0..<shape.queries).reduce(0) { wrong, row in
                wrong
                    + (0..<whole.rowByteCount).count { byte in
                        let isTheirs = (byteCount..<3 * byteCount).contains(byte)
                        return part.bytes(row)[byte] != (isTheirs ? whole.bytes(row)[byte] : KernelRows.canary)
                    }
            }
            #expect(wrong == 0, "\(shape)")
        }
    }
}
