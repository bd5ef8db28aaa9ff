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

    /// The parser would fill the first of two, and the other would be ignored.
    @Test func noCommandDeclaresAnOptionTwice() throws {
        for command in OvenbirdCommand.configuration.subcommands {
            let names = try EnvironmentOptions.names(of: command)
            #expect(!names.isEmpty && names.count == Set(names).count, "\(names.sorted())")
        }
    }
}
