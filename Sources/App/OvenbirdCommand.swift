package import ArgumentParser
import Foundation

/// `ovenbird`: the root of all subcommands.
package struct OvenbirdCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "ovenbird",
        abstract: "Embeds text in length-grouped batches and keeps the vectors in PostgreSQL.",
        discussion: """
            Every option is also an environment variable: --max-num-seqs is OVENBIRD_MAX_NUM_SEQS. The command line wins.
            Exit codes: 0 done, 1 failed, 64 wrong usage.
            """,
        version: Self.version,
        subcommands: [
            ServeCommand.self, WorkerCommand.self, JobCommand.self, EmbedCommand.self, TokenizeCommand.self,
            BenchCommand.self, LoadTestCommand.self, PlanCommand.self, ModelCommand.self, MigrateCommand.self,
        ])

    package static let version = "0.1.0"

    package init() {}

    /// Runs the command that the arguments name and ends the process with its exit code.
    package static func run(arguments: [String], environment: [String: String]) async {
        do {
            let merged = try EnvironmentOptions.merged(arguments: arguments, environment: environment, root: Self.self)
            var command = try parseAsRoot(merged)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            FileHandle.standardError.writeOrLose("ovenbird: \(failure.message)\n")
            Foundation.exit(failure.exitCode)
        } catch {
            exit(withError: error)
        }
    }
}
