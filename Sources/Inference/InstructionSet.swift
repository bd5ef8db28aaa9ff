import Embeddings

/// The kernels that a model runs on. Each gives the same results to rounding; in int8 AVX2 packs
/// coarser weights (`pair_limit`).
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
    /// With AMX's matrix registers.
    case amx

    /// Those that this processor has, slowest first.
    package static var available: [InstructionSet] { allCases.filter(\.isAvailable) }

    /// The fastest that this processor has.
    package static var best: InstructionSet { available.last ?? .plain }

    /// Whether there are instructions for bfloat16, which on nearly all such processors are faster than float32's. Elsewhere
    /// it only halves the weights.
    package var prefersBFloat16: Bool {
        switch self {
        case .neonbf16, .avx512bf16, .amx: true
        case .plain, .openblas, .neon, .neondot, .avx2, .avx512, .avx512vnni: false
        }
    }

    /// The library behind the dense layers, with its version where it is not our own.
    package var denseLibrary: String {
        self == .openblas ? "\(OpenBLAS.configuration), \(OpenBLAS.core)" : "own kernels, \(rawValue)"
    }
}

extension Precision {
    /// How values stand between the dense layers: int8 reads bytes, and writes bfloat16.
    var storedValueByteCount: Int { self == .fp32 ? 4 : 2 }
    var inputValueByteCount: Int { self == .fp32 ? 4 : self == .bf16 ? 2 : 1 }
}
