package import Embeddings

/// What the HTTP server listens on, whom it believes, and every limit that it holds.
package struct HTTPConfiguration: Sendable {
    package var host = "127.0.0.1"
    /// 0 lets the system choose one.
    package var port = 8080
    /// The value of the `Server` header.
    package var serverName = "ovenbird"

    /// A request must carry one of them, where there are any.
    package var apiKeys: [Secret] = []
    /// Names that `Host` may carry, without a port, besides the loopback's own and `host`. `Host` is checked where there
    /// are any, and where the server is bound to the loopback: a web page that rebinds its name to an address of ours
    /// is refused.
    package var allowedHosts: [String] = []

    /// As OpenAI's limit; some clients send 1,000 inputs in a request.
    package var maxInputs = 2_048
    /// 2,048 inputs of 16 KiB. One body of this size is 160 MiB as a parsed value at worst.
    package var maxBodyBytes = 32 << 20
    /// Bytes of bodies that all requests hold together until they are answered; at least `maxBodyBytes`.
    package var maxBufferedBodyBytes = 256 << 20
    /// Values of one JSON body, as `JSONValue` counts them: 2,048 inputs of 512 token ids and as much again.
    package var maxValues = 1 << 21
    /// A document line of NDJSON; no text that a model reads whole is near it.
    package var maxLineBytes = 1 << 20
    /// UTF-8 of one document's text: what a line can hold.
    package var maxTextBytes = 1 << 20
    /// A page of documents ends early behind the document that reaches it.
    package var bytesPerPage = 8 << 20
    /// `k` and page limits: what one answer may hold.
    package var maxResults = 1_000
    /// Ids of one deletion.
    package var maxDeletedIDs = 10_000
    /// Failed documents that an upsert's answer lists; all are counted.
    package var maxReportedErrors = 1_000
    /// Where fifteen sixteenths are taken, a newcomer takes the place of the connection that was idle longest.
    package var maxConnections = 1_024

    /// Documents that are embedded and committed together: enough to fill several passes with texts of like length,
    /// little enough that a cut upsert repeats no more than a second's work.
    package var documentsPerChunk = 128
    /// Closes a chunk early, so that a chunk's memory is bounded by bytes too.
    package var bytesPerChunk = 512 << 10
    /// A request that names no `priority` waits in the interactive lane up to so many texts: a person waits for a handful;
    /// more is a job.
    package var interactiveInputs = 8
    /// The same of their bytes together, UTF-8: eight long paragraphs.
    package var interactiveBytes = 16 << 10
    /// The longest `X-Request-Timeout-Ms`: whoever waits longer than an hour wants a bulk job.
    package var maxRequestTimeout = Duration.seconds(3_600)
    /// How long an upsert that has begun waits for a full queue before it is answered 429.
    package var overloadPatience = Duration.seconds(60)

    /// Inputs of a job that are appended in one transaction: four segments of the store.
    package var jobInputsPerAppend = 1_024
    /// Closes an append early: what one upload holds, beside the line that arrives.
    package var jobBytesPerAppend = 1 << 20
    /// How long an upload waits for a store that cannot be reached: a restart of the database takes less.
    package var jobStorePatience = Duration.seconds(10)
    /// Bytes of an `Idempotency-Key`; what the store's index holds.
    package var maxIdempotencyKeyBytes = 255
    /// Higher first; wide enough for any scheme, and a number that people still say.
    package var jobPriorities = -100...100
    /// Invalid lines that an answer about a job lists; all are counted, and `/errors` lists them.
    package var maxJobErrors = 10
    /// How long after a job's end its results are kept; only said here (`expires_at`), the store drops them.
    package var jobRetention = Duration.seconds(168 * 3_600)
    /// Results that are read from the store at once: one call to the store is small beside them.
    package var resultsPerPage = 1_000
    /// Makes pages of long vectors shorter: 1,000 rows of 1,024 dimensions.
    package var resultBytesPerPage = 4 << 20
    /// A results' answer is handed on in pieces of this size: enough for one write to the system.
    package var resultBytesPerWrite = 64 << 10
    /// Open event streams; each asks the store once in `eventInterval`.
    package var maxEventStreams = 64
    package var eventInterval = Duration.seconds(1)
    /// Between two looks at the batcher for all who watch `/v1/live`: four a second are seen as a movement.
    package var liveInterval = Duration.milliseconds(250)
    /// A comment keeps an event stream open where nothing happens; proxies commonly cut after 60 s of silence.
    package var eventKeepAlive = Duration.seconds(15)
    /// Hashes of different texts that a dry run holds, 16 bytes each or so; beyond them duplicates are estimated from a
    /// sample, within 1 %.
    package var maxDryRunHashes = 1 << 18

    /// Bytes of one uploaded file; OpenAI's limit for a batch's.
    package var maxFileBytes = 200 << 20
    /// A file is stored in pieces of this size, and an upload holds no more of it.
    package var bytesPerFileChunk = 256 << 10
    /// As OpenAI's, for files whose sender asked for nothing else.
    package var fileLifetime = Duration.seconds(30 * 86_400)
    /// Results that a file of answers reads at a time: 4 MB at 4,096 dimensions.
    package var answersPerPage = 256
    /// What `completion_window` "24h" means.
    package var batchWindow = Duration.seconds(86_400)

    /// From a request head's first byte to its last.
    package var headTimeout = Duration.seconds(10)
    /// For a whole body that is not NDJSON.
    package var bodyTimeout = Duration.seconds(30)
    /// What the server may wait for body bytes in sum, beyond what `minimumBodyRate` allows.
    package var bodyPatience = Duration.seconds(10)
    /// Bytes a second; a client that sends slower is answered 408.
    package var minimumBodyRate = 1_024
    /// For a client to take the rest of an answer, or of a long one as much as `minimumResponseRate` asks for.
    package var responseTimeout = Duration.seconds(30)
    /// Bytes a second, in each `responseTimeout`; a client that reads slower, or stops, is disconnected.
    package var minimumResponseRate = 64 << 10
    /// For a connection without a request; above the 60 s that load balancers keep theirs.
    package var idleTimeout = Duration.seconds(75)
    /// How long the rest of a refused request is read and dropped, so that the client sees the answer.
    package var lingerTimeout = Duration.seconds(2)
    /// `/readyz` answers 503 where embedding one word takes longer.
    package var readinessTimeout = Duration.seconds(5)
    /// How long `/readyz` repeats its last answer.
    package var readinessLifetime = Duration.seconds(1)

    package init() {}

    /// Where texts wait whose client does not say.
    package func lane(inputCount: Int, byteCount: Int) -> Lane {
        inputCount <= interactiveInputs && byteCount <= interactiveBytes ? .interactive : .bulk
    }

    /// Whether only this machine can reach `host`.
    package var bindsLoopback: Bool { Self.isLoopback(host: host) }

    /// Whether an address is reached from this machine only; false for unusual spellings of one.
    package static func isLoopback(host: String) -> Bool {
        if ["localhost", "::1", "[::1]"].contains(host) { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127"
            && parts.allSatisfy { $0.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8($0) != nil }
    }
}

/// A value that no description shows.
package struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let bytes: [UInt8]

    /// - Precondition: not empty.
    package init(_ text: String) {
        precondition(!text.isEmpty)
        bytes = Array(text.utf8)
    }

    package var description: String { "<secret>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: [:]) }

    /// Compares in a time that depends on `candidate`'s length alone.
    package func matches(_ candidate: some Collection<UInt8>) -> Bool {
        var difference = bytes.count ^ candidate.count
        var index = 0
        for byte in candidate {
            difference |= Int(byte ^ bytes[index])
            index += 1
            if index == bytes.count { index = 0 }
        }
        return difference == 0
    }
}
