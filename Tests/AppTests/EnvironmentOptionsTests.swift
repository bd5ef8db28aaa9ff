import App
import ArgumentParser
import Testing

struct EnvironmentOptionsTests {
    private func merged(_ arguments: [String], _ environment: [String: String]) throws -> [String] {
        try EnvironmentOptions.merged(arguments: arguments, environment: environment, root: OvenbirdCommand.self)
    }

    @Test func aVariableJoinsAsIfItWereTyped() throws {
        let arguments = try merged(["serve", "--model", "m"], ["OVENBIRD_PORT": "9", "OVENBIRD_MAX_NUM_SEQS": "7"])
        #expect(Set(arguments) == ["serve", "--model", "m", "--port=9", "--max-num-seqs=7"])
        #expect(arguments.first == "serve")
    }

    @Test func severalValuesArePartedByCommas() throws {
        let arguments = try merged(
            ["serve"], ["OVENBIRD_ALLOWED_HOST": "localhost, a.example,", "OVENBIRD_SERVED_MODEL_NAME": "m"])
        #expect(
            Set(arguments) == [
                "serve", "--allowed-host=localhost", "--allowed-host=a.example", "--served-model-name=m",
            ])
        // Where one value is taken, a comma belongs to it.
        #expect(try merged(["serve"], ["OVENBIRD_MODEL": "a,b"]) == ["serve", "--model=a,b"])
    }

    @Test(arguments: [["serve", "--port", "1"], ["serve", "--port=1"]])
    func theCommandLineWins(arguments: [String]) throws {
        #expect(try merged(arguments, ["OVENBIRD_PORT": "9"]) == arguments)
    }

    @Test func flagsTakeTrueAndFalse() throws {
        #expect(try merged(["serve"], ["OVENBIRD_MIGRATE": "true"]) == ["serve", "--migrate"])
        #expect(try merged(["serve"], ["OVENBIRD_MIGRATE": "0"]) == ["serve"])
        #expect(throws: ValidationError.self) { try merged(["serve"], ["OVENBIRD_MIGRATE": "perhaps"]) }
    }

    @Test func optionsOfOtherCommandsAreLeftAlone() throws {
        #expect(try merged(["tokenize"], ["OVENBIRD_PORT": "9"]) == ["tokenize"])
        #expect(try merged(["--help"], ["OVENBIRD_PORT": "9"]) == ["--help"])
    }

    @Test func aCommandWithinACommandHasItsVariables() throws {
        let environment = ["OVENBIRD_API_KEY": "k", "OVENBIRD_URL": "http://a", "OVENBIRD_WATCH": "1"]
        let arguments = try merged(["job", "submit", "-", "--url", "http://b"], environment)
        #expect(Set(arguments) == ["job", "submit", "--api-key=k", "--watch", "-", "--url", "http://b"])
        #expect(arguments.prefix(2) == ["job", "submit"] && arguments.suffix(3) == ["-", "--url", "http://b"])
        #expect(try merged(["job"], environment) == ["job"])
        #expect(try merged(["job", "--help"], environment) == ["job", "--help"])
        #expect(try merged(["job", "unknown"], environment) == ["job", "unknown"])
        #expect(
            try merged(["job", "cancel", "submit"], environment)
                == ["job", "cancel", "--api-key=k", "--url=http://a", "submit"]
                || merged(["job", "cancel", "submit"], environment)
                    == ["job", "cancel", "--url=http://a", "--api-key=k", "submit"]
        )
    }

    /// The parser would fill the first of two, and the other would be ignored.
    @Test func noCommandDeclaresAnOptionTwice() throws {
        let commands = OvenbirdCommand.configuration.subcommands.flatMap { command in
            command.configuration.subcommands.isEmpty ? [command] : command.configuration.subcommands
        }
        for command in commands {
            let names = try EnvironmentOptions.names(of: command)
            #expect(!names.isEmpty && names.count == Set(names).count, "\(names.sorted())")
        }
    }
}
