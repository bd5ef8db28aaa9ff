package import JSON

/// Files and batches, in PostgreSQL or in memory, behind one contract. Something unknown is nil; so is a file that has not
/// been completed, that has expired, or that was deleted.
package protocol BatchStore: Sendable {
    /// A new file that nobody sees yet.
    func beginFile(named name: String) async throws(StorageError) -> FileID
    /// Keeps one piece of its content; chunks count from 0. A call repeated after an error changes nothing more.
    func append(_ bytes: [UInt8], as chunk: Int, to file: FileID) async throws(StorageError)
    /// From now on the file is seen. May be repeated after an error; nil where it was taken for abandoned meanwhile.
    func completeFile(_ id: FileID, lifetime: Duration) async throws(StorageError) -> StoredFile?
    /// Drops a file that has not been completed.
    func discardFile(_ id: FileID) async throws(StorageError)
    func file(_ id: FileID) async throws(StorageError) -> StoredFile?
    /// Nil where `query.after` is unknown.
    func files(_ query: FileQuery) async throws(StorageError) -> FilePage?
    func deleteFile(_ id: FileID) async throws(StorageError) -> FileDeletion
    /// One chunk of an uploaded file, as it was sent; nil behind the last one, and where the file is unknown.
    func content(of file: FileID, chunk: Int) async throws(StorageError) -> [UInt8]?

    /// Nil where the input file is unknown, or no upload.
    func createBatch(_ specification: BatchSpecification) async throws(StorageError) -> Batch?
    func batch(_ id: BatchID) async throws(StorageError) -> Batch?
    /// Newest first; nil where `after` is unknown.
    func batches(after: BatchID?, limit: Int) async throws(StorageError) -> BatchPage?
    /// Makes it `cancelling`; whoever holds its lease loses it.
    func cancelBatch(_ id: BatchID) async throws(StorageError) -> BatchCancellation
    /// The requests of lines behind `line`, in order.
    func requests(of batch: BatchID, afterLine line: Int, limit: Int) async throws(StorageError) -> [BatchRequest]

    /// Leases a batch that has something to be done for it: to be validated, finalized or cancelled, or in progress with
    /// its job ended (or gone) or its time over.
    func claimBatch(for duration: Duration) async throws(StorageError) -> LeasedBatch?
    /// The calls from here on answer false, and change nothing, where the lease is somebody else's by now.
    func extend(_ lease: BatchLease, by duration: Duration) async throws(StorageError) -> Bool
    /// Gives the lease back; the batch is claimed again after the pause.
    func release(_ lease: BatchLease, pause: Duration, _ charge: AttemptCharge) async throws(StorageError) -> Bool
    /// Forgets what another attempt found, and remembers the job that the texts go to.
    func beginValidation(_ lease: BatchLease, draft: JobID) async throws(StorageError) -> Bool
    /// - Precondition: at most 4,096 requests.
    func append(_ requests: [BatchRequest], _ lease: BatchLease) async throws(StorageError) -> BatchRequestsAppended
    /// Makes it `failed`.
    func refuse(_ lease: BatchLease, errors: [BatchError]) async throws(StorageError) -> Bool
    /// Makes it `in_progress` and ends the lease.
    func start(_ lease: BatchLease, _ start: BatchStart) async throws(StorageError) -> Bool
    /// Makes it `finalizing`. A batch that is so already keeps how it will end.
    func beginFinalizing(_ lease: BatchLease, ending: BatchEnding) async throws(StorageError) -> Bool
    /// Ends it, makes its files and ends the lease, in one transaction.
    func end(_ lease: BatchLease, _ end: BatchEnd) async throws(StorageError) -> Bool

    /// One bounded step of housekeeping: abandoned uploads, expired files, requests that no file tells of any more.
    /// Answers whether another step would find work at once.
    func maintain(abandonedUploads: Duration) async throws(StorageError) -> Bool
}

package struct BatchSpecification: Sendable, Equatable {
    package var inputFile: FileID
    package var owner: JobOwner
    package var metadata: JSONObject?
    /// How long after its creation what is not done is given up.
    package var completionWindow: Duration
    package var outputLifetime: Duration?

    package init(
        inputFile: FileID, owner: JobOwner, metadata: JSONObject? = nil, completionWindow: Duration = .seconds(86_400),
        outputLifetime: Duration? = nil
    ) {
        self.inputFile = inputFile
        self.owner = owner
        self.metadata = metadata
        self.completionWindow = completionWindow
        self.outputLifetime = outputLifetime
    }
}

package struct BatchPage: Sendable, Equatable {
    package let batches: [Batch]
    package let hasMore: Bool

    package init(batches: [Batch], hasMore: Bool) {
        self.batches = batches
        self.hasMore = hasMore
    }
}

package enum BatchCancellation: Sendable, Equatable {
    /// The batch as it is now; one that is cancelled, or about to be, stays as it is.
    case done(Batch)
    case unknown
    /// It has ended otherwise, or is about to.
    case refused(BatchStatus)
}

/// The right to work on a batch. Tokens only grow.
package struct BatchLease: Sendable, Hashable {
    package let batch: BatchID
    package let token: Int64

    package init(batch: BatchID, token: Int64) {
        self.batch = batch
        self.token = token
    }
}

/// What becomes of an attempt that came to nothing.
package enum AttemptCharge: Sendable {
    case refunded
    case kept
}

package struct LeasedBatch: Sendable, Equatable {
    package let lease: BatchLease
    package let batch: Batch
    /// 1 for the first.
    package let attempt: Int
    /// Whether its time is over.
    package let isOverdue: Bool
    /// How it will end, where that is decided.
    package let ending: BatchEnding?

    package init(lease: BatchLease, batch: Batch, attempt: Int, isOverdue: Bool, ending: BatchEnding?) {
        self.lease = lease
        self.batch = batch
        self.attempt = attempt
        self.isOverdue = isOverdue
        self.ending = ending
    }
}

package enum BatchRequestsAppended: Sendable, Equatable {
    /// The lines among them whose `custom_id` another line before them has; they were left out.
    case appended(duplicateLines: [Int])
    case leaseLost
}

/// What validation found.
package struct BatchStart: Sendable, Equatable {
    /// Nil where no request could be embedded.
    package var job: JobID?
    package var modelName: String
    package var requestCount: Int
    /// Of those: refused alone.
    package var refusedCount: Int
    package var inputCount: Int

    package init(job: JobID?, modelName: String, requestCount: Int, refusedCount: Int, inputCount: Int) {
        self.job = job
        self.modelName = modelName
        self.requestCount = requestCount
        self.refusedCount = refusedCount
        self.inputCount = inputCount
    }
}

/// What a batch came to.
package struct BatchEnd: Sendable, Equatable {
    package var ending: BatchEnding
    package var counts: BatchCounts
    package var tokenCount: Int
    /// Of the files; one without a byte is not made.
    package var outputByteCount: Int
    package var errorByteCount: Int
    package var fileLifetime: Duration
    /// When their results are dropped, and the files with them.
    package var filesEndBy: Timestamp?

    package init(
        ending: BatchEnding, counts: BatchCounts = BatchCounts(), tokenCount: Int = 0, outputByteCount: Int = 0,
        errorByteCount: Int = 0, fileLifetime: Duration, filesEndBy: Timestamp? = nil
    ) {
        self.filesEndBy = filesEndBy
        self.ending = ending
        self.counts = counts
        self.tokenCount = tokenCount
        self.outputByteCount = outputByteCount
        self.errorByteCount = errorByteCount
        self.fileLifetime = fileLifetime
    }
}
