import CKernels
import Foundation

extension ek_activation {
    static let all = [ek_gelu_erf, ek_gelu_tanh, ek_silu, ek_relu]

    /// As its definition has it, in double precision.
    func exact(_ x: Double) -> Double {
        switch self {
        case ek_gelu_erf: 0.5 * x * erfc(-x / 2.0.squareRoot())
        case ek_gelu_tanh: x / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        case ek_silu: x / (1 + exp(-x))
        default: max(x, 0)
        }
    }

    /// What a kernel's result may be off by at x. For the erf form CKernels.h names it; the others are one exponential
    /// of relative error below 2ε, of an argument that rounding has moved by up to 2·|x|·ε, and are |x| in size: 4ε of
    /// the greater of 1 and |x| cover both, since where |x| is great the exponential does not count. No activation is
    /// steeper than 1.13, and that slope carries an error of x.
    func tolerance(at x: Double, errorOfX: Double, isNarrow: Bool) -> Double {
        let own: Double
        switch self {
        case ek_relu: own = 0
        case ek_gelu_erf: own = isNarrow ? 5e-5 : 1e-7 * max(1, x.magnitude)
        default: own = 4 * floatEpsilon * max(1, x.magnitude)
        }
        return own + 1.13 * errorOfX
    }
}
