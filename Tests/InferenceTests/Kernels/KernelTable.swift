import CKernels

/// A table of kernels, by name.
enum KernelTable: String, CaseIterable, Sendable {
    case plain, openblas, avx2, avx512, avx512vnni, avx512bf16, amx, neon, neondot, neonbf16

    /// Nil where this processor, or the build, lacks the instructions.
    var pointer: UnsafePointer<ek_kernels>? {
        switch self {
        case .plain: ek_kernels_plain()
        case .openblas: ek_kernels_openblas()
        case .avx2: ek_kernels_avx2()
        case .avx512: ek_kernels_avx512()
        case .avx512vnni: ek_kernels_avx512vnni()
        case .avx512bf16: ek_kernels_avx512bf16()
        case .amx: ek_kernels_amx()
        case .neon: ek_kernels_neon()
        case .neondot: ek_kernels_neondot()
        case .neonbf16: ek_kernels_neonbf16()
        }
    }

    /// Those that this processor has, the plain one among them.
    static let present = allCases.filter { $0.pointer != nil }
    /// Those with row kernels of their own.
    static let vectorized = present.filter { $0 != .plain && $0 != .openblas }
    static let withAttention = present.filter { $0 != .openblas }

    /// The plain one, packing weights as a table does that has a limit for pairs.
    nonisolated(unsafe) private static let plainWithPairs: UnsafePointer<ek_kernels> = {
        let table = UnsafeMutablePointer<ek_kernels>.allocate(capacity: 1)
        table.initialize(to: ek_kernels_plain().pointee)
        table.pointee.pair_limit = 128
        return UnsafePointer(table)
    }()

    /// The plain kernels over the weights that a table packs.
    static func twin(of table: UnsafePointer<ek_kernels>) -> UnsafePointer<ek_kernels> {
        precondition(table.pointee.pair_limit == 0 || table.pointee.pair_limit == 128)
        return table.pointee.pair_limit == 0 ? ek_kernels_plain() : plainWithPairs
    }

    /// Every table with each precision that its dense layers take.
    static let products: [Product] = present.flatMap { table in
        (table == .openblas ? [ek_f32] : [ek_f32, ek_bf16, ek_i8]).map { Product(table: table, precision: $0) }
    }

    struct Product: CustomStringConvertible, Sendable {
        let table: KernelTable
        let precision: ek_precision
        var description: String { "\(table) \(precision.name)" }
    }
}

extension ek_precision {
    var name: String { self == ek_f32 ? "f32" : self == ek_bf16 ? "bf16" : "i8" }
    var valueByteCount: Int { self == ek_f32 ? 4 : self == ek_bf16 ? 2 : 1 }
}

/// How thin a sweep is: every so many sizes. Thinner without the optimiser, where sanitizers look at every access.
#if DEBUG
    let sweepStep = 13
#else
    let sweepStep = 2
#endif

/// Distance from 1 to the next float, and to the next bfloat16; rounding to nearest is off by half of it at most.
let floatEpsilon = 0x1p-23
let bfloat16Epsilon = 0x1p-7

func narrowed(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    return value.isNaN ? 0x7FC0 : UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

func widened(_ half: UInt16) -> Float { Float(bitPattern: UInt32(half) << 16) }
