import ArgumentParser
import Foundation
package import JSON
import NIOHTTP1

/// `ovenbird job submit`: streams a file of texts into one job.
struct JobSubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit",
        abstract: "Sends NDJSON lines {\"id\",\"text\",\"metadata\"} as one job, and prints the job's id.",
        discussion: """
            A file is sent again where the answer was lost, under the same idempotency key, so that it makes one job. \
            Standard input can be read only once: its key is printed, and the same lines sent again under it make no second job.
            """)

    @OptionGroup var server: JobServerOptions

    @Argument(help: "A file of NDJSON lines; - is standard input.")
    var input: String

    @Option(help: "The collection that the texts go to; without one the vectors are the job's results.")
    var collection: String?

    @Option(help: "-100 to 100; of one API key's jobs the higher go first.")
    var priority: Int = 0

    @Option(help: ArgumentHelp("What names this submission; default: drawn at random, and printed.", valueName: "key"))
    var idempotencyKey: String?

    @Flag(help: "Send nothing to the queue; print tokens, duplicates, predicted time and size as JSON.")
    var dryRun = false

    @Flag(help: "Follow the job to its end, as watch does.")
    var watch = false

    func validate() throws {
        try requireRange(-100...100, of: "--priority", priority)
        guard let idempotencyKey else { return }
        guard (1...255).contains(idempotencyKey.utf8.count),
            idempotencyKey.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { throw ValidationError("--idempotency-key takes 1 to 255 printable ASCII characters") }
        if dryRun { throw ValidationError("--dry-run makes no job that --idempotency-key could name") }
    }

    func run() async throws {
        let client = try server.client()
        let file = try UploadFile(path: input)
        if dryRun {
            let report = try await asCommand { try await submission(nil, file).send(through: client) }
            return print(JSONValue.object(report).serialized)
        }
        let key = idempotencyKey ?? Self.randomKey()
        if idempotencyKey == nil {
            FileHandle.standardError.writeOrLose("ovenbird: --idempotency-key \(key)\n")
        }
        let job = try await asCommand {
            try JobReport(try await submission(key, file).send(through: client))
        }
        print(job.id)
        // Whoever reads the id through a pipe has it before the job ends.
        fflush(nil)
        guard watch else { return }
        try await JobWatchCommand.follow(job.id, through: client)
    }

    private func submission(_ key: String?, _ file: UploadFile) -> JobSubmissionUpload {
        JobSubmissionUpload(file: file, collection: collection, priority: priority, idempotencyKey: key)
    }

    /// 128 random bits.
    private static func randomKey() -> String {
        String(UInt64.random(in: 0 ... .max), radix: 36) + "-" + String(UInt64.random(in: 0 ... .max), radix: 36)
    }
}

/// One submission, sent as often as it takes.
package struct JobSubmissionUpload: Sendable {
    let file: UploadFile
    let collection: String?
    let priority: Int
    /// Nil: a dry run.
    let idempotencyKey: String?
    var maximumAttempts = 5
    /// After the first attempt; doubles.
    var firstDelay = Duration.seconds(1)

    package init(
        file: UploadFile, collection: String? = nil, priority: Int = 0, idempotencyKey: String?,
        maximumAttempts: Int = 5, firstDelay: Duration = .seconds(1)
    ) {
        self.file = file
        self.collection = collection
        self.priority = priority
        self.idempotencyKey = idempotencyKey
        self.maximumAttempts = maximumAttempts
        self.firstDelay = firstDelay
    }

    /// The service's answer. Where it was lost, or the service cannot take the job now, a file is sent again.
    package func send(through client: ServiceClient) async throws -> JSONObject {
        var request = ServiceRequest(.POST, "/v1/jobs", headers: [("Content-Type", "application/x-ndjson")])
        if let collection { request.query.append(("collection", collection)) }
        if priority != 0 { request.query.append(("priority", "\(priority)")) }
        if let idempotencyKey {
            request.headers.append(("Idempotency-Key", idempotencyKey))
        } else {
            request.query.append(("dry_run", "true"))
        }
        // Whoever writes to our standard input may take his time.
        if !file.isRepeatable { request.silenceLimit = nil }
        var delay = firstDelay
        var attempt = 1
        while true {
            do {
                let file = file
                return try await client.document(request) { write in try await file.read(write) }
            } catch let failure as ServiceFailure where failure.isPassing && attempt < maximumAttempts {
                // A connection that never came about has read nothing of the input.
                if !file.isRepeatable { guard case .unreachable = failure else { throw failure } }
                FileHandle.standardError.writeOrLose(
                    "ovenbird: \(failure.commandFailure.message); trying again\n")
                try await Task.sleep(for: delay)
                delay *= 2
                attempt += 1
            }
        }
    }
}
