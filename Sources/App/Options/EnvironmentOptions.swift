package import ArgumentParser
import JSON

/// Every option is also an environment variable: `--max-num-seqs` is `OVENBIRD_MAX_NUM_SEQS`.
///
/// It holds by construction: the command's own list of options is asked, and each variable that is set joins the
/// arguments as if it had been typed, unless its option was typed already. Values are checked where options are checked.
package enum EnvironmentOptions {
    package static let prefix = "OVENBIRD_"

    /// The arguments with the environment's options added behind the subcommand's name, the innermost where one has others.
    package static func merged(
        arguments: [String], environment: [String: String], root: any ParsableCommand.Type
    ) throws -> [String] {
        guard let first = arguments.firstIndex(where: { !$0.hasPrefix("-") }) else { return arguments }
        // The names stand one behind the other.
        var named: [any ParsableCommand.Type] = [root]
        for argument in arguments[first...] {
            let subcommands = named[named.count - 1].configuration.subcommands
            guard let next = subcommands.first(where: { $0._commandName == argument }) else { break }
            named.append(next)
        }
        guard let subcommand = named.dropFirst().last else { return arguments }
        let place = first + named.count - 2
        let typed = arguments.prefix { $0 != "--" }
        var additions: [String] = []
        for option in try options(of: subcommand) {
            guard let value = environment[variable(for: option.name)], !value.isEmpty else { continue }
            guard !typed.contains(where: { $0 == "--\(option.name)" || $0.hasPrefix("--\(option.name)=") }) else {
                continue
            }
            guard option.isFlag else {
                // An option that can be given several times takes its values parted by commas.
                let values = option.isRepeating ? value.split(separator: ",").map(Self.trimmed) : [value]
                additions += values.filter { !$0.isEmpty }.map { "--\(option.name)=\($0)" }
                continue
            }
            switch value.lowercased() {
            case "1", "true", "yes", "on": additions.append("--\(option.name)")
            case "0", "false", "no", "off": break
            default:
                throw ValidationError("\(variable(for: option.name)) is '\(value)'; it takes true or false")
            }
        }
        return Array(arguments[...place]) + additions + Array(arguments[(place + 1)...])
    }

    /// The long names of a command's options and flags, once for each place that declares them.
    package static func names(of command: any ParsableCommand.Type) throws -> [String] {
        try options(of: command).map(\.name)
    }

    static func variable(for option: String) -> String {
        prefix + option.uppercased().split(separator: "-").joined(separator: "_")
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    private struct Option {
        let name: String
        let isFlag: Bool
        let isRepeating: Bool
    }

    private static func options(of command: any ParsableCommand.Type) throws -> [Option] {
        // The argument parser describes a command only through this dump; the package's version is pinned.
        let dump = try JSONValue(parsing: command._dumpHelp())
        let arguments = dump.object?["command"]?.object?["arguments"]?.array ?? []
        return arguments.compactMap { argument in
            guard let argument = argument.object, let kind = argument["kind"]?.string, kind != "positional" else {
                return nil
            }
            let names = argument["names"]?.array ?? []
            let long = names.compactMap(\.object).first { $0["kind"] == "long" }?["name"]?.string
            guard let long, long != "help", long != "version" else { return nil }
            return Option(name: long, isFlag: kind == "flag", isRepeating: argument["isRepeating"] == true)
        }
    }
}
