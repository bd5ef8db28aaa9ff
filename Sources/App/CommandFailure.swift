/// An end that a subcommand chose: one line on standard error, and an exit code.
package struct CommandFailure: Error {
    package let message: String
    package let exitCode: Int32

    /// The work could not be done.
    static func failed(_ message: String) -> CommandFailure { CommandFailure(message: message, exitCode: 1) }

    /// The options do not fit each other, or ask for what there is not.
    static func usage(_ message: String) -> CommandFailure { CommandFailure(message: message, exitCode: 64) }
}
