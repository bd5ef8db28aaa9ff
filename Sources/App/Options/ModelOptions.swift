import ArgumentParser
import Embeddings

/// Which model, and how it is computed.
struct ModelOptions: ParsableArguments {
    @Option(help: "Folder of the model: config.json, model.safetensors, tokenizer.json, modules.json.")
    var model: String

    @Option(help: "Arithmetic of the dense layers: auto or fp32. bf16 and int8 are not built yet.")
    var precision: PrecisionChoice = .auto

    @Option(help: "Compute threads. Default: one per core that the process may use (affinity and cgroup quota).")
    var threads: Int?

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads); it takes 1 to 1024")
        }
        if precision == .bf16 || precision == .int8 {
            throw ValidationError(
                "--precision \(precision.rawValue) is not available in this version; use fp32, or auto, which is fp32")
        }
    }
}

enum PrecisionChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    case auto
    case fp32
    case bf16
    case int8
}
