import ArgumentParser
import NIOHTTP1

/// `ovenbird job cancel`.
struct JobCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancels a job: what is done stays, the rest is never done.")

    @OptionGroup var server: JobServerOptions

    @Argument(help: "The job's id.")
    var id: String

    func run() async throws {
        let client = try server.client()
        let job = try await asCommand {
            try JobReport(
                try await client.document(ServiceRequest(.POST, "/v1/jobs/\(ServiceClient.encode(id))/cancel")))
        }
        print("\(job.id) \(job.state), \(job.ended) of \(job.total) inputs done")
    }
}
