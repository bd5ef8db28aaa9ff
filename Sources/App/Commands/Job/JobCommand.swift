import ArgumentParser

/// `ovenbird job`: bulk jobs of a running server.
struct JobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job",
        abstract: "Sends bulk jobs to a running server and follows them.",
        subcommands: [
            JobSubmitCommand.self, JobListCommand.self, JobWatchCommand.self, JobResultsCommand.self,
            JobCancelCommand.self,
        ])
}

/// Where the server is, and who asks.
struct JobServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The running server, http://HOST:PORT.", valueName: "url"))
    var url: String = "http://127.0.0.1:8080"

    @Option(
        help: ArgumentHelp(
            "An API key that the server accepts. Better in OVENBIRD_API_KEY (of several, the first is used): other users of the machine can read a command line.",
            valueName: "key"))
    var apiKey: String?

    func client() throws(CommandFailure) -> ServiceClient {
        let key = apiKey?.split(separator: ",").first.map { $0.trimmingPrefix(" ") }
        guard key?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true else {
            throw .usage("--api-key takes printable ASCII without spaces")
        }
        return ServiceClient(address: try ServiceAddress(url), apiKey: key.map { String($0) })
    }
}

/// Says a refusal of the service, or the loss of it, as a command ends.
func asCommand<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
    do {
        return try await body()
    } catch let failure as ServiceFailure {
        throw failure.commandFailure
    }
}
