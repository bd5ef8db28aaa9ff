import ArgumentParser
import Embeddings
import Jobs

/// How jobs are worked on.
struct JobOptions: ParsableArguments {
    static let defaultWorkers = JobRunnerConfiguration().workerCount

    @Option(help: "Segments of jobs that this process works on at a time; 0 leaves them to ovenbird worker.")
    var jobWorkers: Int = defaultWorkers

    @Option(help: "Seconds without a word from a process after which others take its segments over.")
    var jobLease: Int = 30

    @Option(help: "Milliseconds after which an idle process asks for work again.")
    var jobPoll: Int = 1_000

    @Option(help: "Hours after a job's end for which its inputs and results are kept.")
    var jobRetention: Int = 168

    @Option(
        help: """
            The database past a pooler, to hear of new jobs at once; default: they are found by asking. What migrate \
            should be given, too.
            """)
    var databaseDirectUrl: String?

    mutating func validate() throws {
        try requireRange(0...64, of: "--job-workers", jobWorkers)
        try requireRange(2...3_600, of: "--job-lease", jobLease)
        try requireRange(50...3_600_000, of: "--job-poll", jobPoll)
        try requireRange(1...87_600, of: "--job-retention", jobRetention)
    }

    /// An upload into which nothing came for that long has lost its sender.
    private static let abandonedUploads: Duration = .seconds(3_600)

    var retention: JobRetention {
        JobRetention(abandonedUploads: Self.abandonedUploads, endedJobs: .seconds(jobRetention * 3_600))
    }

    /// - Parameter queueBudget: tokens that the embedder admits.
    /// - Precondition: there is a worker.
    func configuration(queueBudget: Int) -> JobRunnerConfiguration {
        var configuration = JobRunnerConfiguration()
        configuration.workerCount = jobWorkers
        configuration.leaseDuration = .seconds(jobLease)
        configuration.pollInterval = .milliseconds(jobPoll)
        configuration.maximumTokensInEmbedder = max(1, queueBudget / 4)
        return configuration
    }

    /// Connections to the database for the runner's own use; 0 where there is none.
    var connectionCount: Int { jobWorkers == 0 ? 0 : configuration(queueBudget: 0).connectionCount }
}
