import ArgumentParser
import Embeddings
import Inference

/// Which model, and how it is computed.
struct ModelOptions: ParsableArguments {
    @Option(help: "Folder of the model: config.json, model.safetensors, tokenizer.json, modules.json.")
    var model: String

    @Option(help: "Arithmetic of the dense layers: fp32, bf16, int8, or auto: bf16 where it is fast, else fp32.")
    var precision: PrecisionChoice = .auto

    @Option(help: "Compute threads. Default: one per core that the process may use (affinity and cgroup quota).")
    var threads: Int?

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads); it takes 1 to 1024")
        }
    }
}

enum PrecisionChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    case auto
    case fp32
    case bf16
    case int8

    /// The precision on this processor; nil where it gains nothing.
    func precision(on instructionSet: InstructionSet) -> Precision? {
        switch self {
        case .auto: instructionSet.prefersBFloat16 ? .bf16 : .fp32
        case .fp32: .fp32
        case .bf16: instructionSet.offers(.bf16) ? .bf16 : nil
        case .int8: instructionSet.offers(.int8) ? .int8 : nil
        }
    }
}
