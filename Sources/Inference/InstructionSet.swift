import CKernels
package import Embeddings

/// The kernels that a model runs on. Each gives the same results to rounding.
package enum InstructionSet: String, Sendable, CaseIterable {
    /// Plain C, the twin that the others are tested against.
    case plain
    /// Plain C, and OpenBLAS for the dense layers, which it knows for every processor.
    case openblas
    case neon
    /// With dot products of signed bytes.
    case neondot
    /// Arm's NEON with BF16 and I8MM.
    case neonbf16
    case avx2
    /// AVX-512 F, BW, DQ and VL.
    case avx512
    case avx512vnni
    /// With VNNI and BF16.
    case avx512bf16

    /// Those that this processor has, slowest first.
    package static var available: [InstructionSet] { allCases.filter { $0.table != nil } }

    /// The fastest that this processor has.
    package static var best: InstructionSet { available.last ?? .plain }

    /// Whether this processor has instructions for it, so that it is faster than what is more exact.
    package func isFast(in precision: Precision) -> Bool {
        guard let table else { return false }
        return table.pointee.precisions & (1 << precision.kernelPrecision.rawValue) != 0
    }

    /// The library behind the dense layers, with its version where it is not our own.
    package var denseLibrary: String {
        self == .openblas ? "\(OpenBLAS.configuration), \(OpenBLAS.core)" : "own kernels, \(rawValue)"
    }

    var table: UnsafePointer<ek_kernels>? {
        switch self {
        case .plain: ek_kernels_plain()
        case .openblas: ek_kernels_openblas()
        case .avx2: ek_kernels_avx2()
        case .avx512: ek_kernels_avx512()
        case .avx512vnni: ek_kernels_avx512vnni()
        case .avx512bf16: ek_kernels_avx512bf16()
        case .neon: ek_kernels_neon()
        case .neondot: ek_kernels_neondot()
        case .neonbf16: ek_kernels_neonbf16()
        }
    }
}

/// The library for processors that have no kernels of our own.
enum OpenBLAS {
    /// Its own description of its version and build. Reading it also keeps it on the calling thread.
    static let configuration = String(cString: ek_start_blas())

    /// The processor for which it chose its kernels, for example `Cooperlake`.
    static var core: String {
        _ = configuration
        return String(cString: ek_blas_core())
    }
}

extension Precision {
    var kernelPrecision: ek_precision {
        switch self {
        case .fp32: ek_f32
        case .bf16: ek_bf16
        case .int8: ek_i8
        }
    }

    /// How values stand between the dense layers: int8 reads bytes, and writes bfloat16.
    var storedValueByteCount: Int { self == .fp32 ? 4 : 2 }
    var inputValueByteCount: Int { self == .fp32 ? 4 : self == .bf16 ? 2 : 1 }
}
