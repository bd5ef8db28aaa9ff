import ArgumentParser
import Synchronization

/// `ovenbird job watch`.
struct JobWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Follows a job to its end.",
        discussion: """
            Progress goes to standard error. Exit code 0 where every input has its vector; 1 where some have none, and \
            where the job failed or was cancelled.
            """)

    @OptionGroup var server: JobServerOptions

    @Argument(help: "The job's id.")
    var id: String

    func run() async throws {
        try await Self.follow(id, through: try server.client())
    }

    static func follow(_ id: String, through client: ServiceClient) async throws {
        // A Mutex: the line is written by whichever task hears of news.
        let progress = Mutex(JobProgress())
        let job = try await asCommand {
            try await JobFollower(client: client, id: id).follow { job in progress.withLock { $0.show(job) } }
        }
        if let failure = job.commandFailure { throw failure }
    }
}
