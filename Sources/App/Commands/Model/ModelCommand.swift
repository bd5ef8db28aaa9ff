import ArgumentParser

/// `ovenbird model`: what a model's folder holds, and whether it may be trusted here.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Tells of a model's folder, and checks its vectors on this processor.",
        subcommands: [ModelInfoCommand.self, ModelVerifyCommand.self])
}
