package import JSON

/// Many embeddings requests in one file, answered in another, as OpenAI's batch API has it; a job does the work.
package struct Batch: Sendable, Equatable {
    package var id: BatchID
    package var status: BatchStatus
    package var owner: JobOwner
    package var inputFile: FileID
    /// Nil where no request belongs into it, and before the end.
    package var outputFile: FileID?
    package var errorFile: FileID?
    package var metadata: JSONObject?
    /// How long its files are kept after they were made, where the sender said so.
    package var outputLifetime: Duration?
    /// The name of the model that embeds, from validation on.
    package var modelName: String?
    /// Nil before validation, and where no request could be embedded.
    package var job: JobID?
    /// As validation left them, and final where the batch has ended: what is under way the job counts.
    package var counts: BatchCounts
    /// Texts of all its requests.
    package var inputCount: Int
    /// Of the requests that succeeded; nil before the end.
    package var tokenCount: Int?
    /// Why it is `failed`.
    package var errors: [BatchError]
    package var moments: BatchMoments

    package init(
        id: BatchID, status: BatchStatus, owner: JobOwner, inputFile: FileID, outputFile: FileID? = nil,
        errorFile: FileID? = nil, metadata: JSONObject? = nil, outputLifetime: Duration? = nil,
        modelName: String? = nil, job: JobID? = nil, counts: BatchCounts = BatchCounts(), inputCount: Int = 0,
        tokenCount: Int? = nil, errors: [BatchError] = [], moments: BatchMoments
    ) {
        self.id = id
        self.status = status
        self.owner = owner
        self.inputFile = inputFile
        self.outputFile = outputFile
        self.errorFile = errorFile
        self.metadata = metadata
        self.outputLifetime = outputLifetime
        self.modelName = modelName
        self.job = job
        self.counts = counts
        self.inputCount = inputCount
        self.tokenCount = tokenCount
        self.errors = errors
        self.moments = moments
    }
}

package enum BatchStatus: String, Sendable, CaseIterable {
    /// Its file is read and checked. Can go to: failed, in_progress, cancelling.
    case validating
    /// Its file is not what it must be; nothing was embedded. Final.
    case failed
    /// Its job works. Can go to: finalizing, cancelling.
    case inProgress = "in_progress"
    /// Its answers are counted and measured. Can go to: completed, expired.
    case finalizing
    /// Every request has an answer. Final.
    case completed
    /// What was not done in time is never done. Final.
    case expired
    /// It was told to stop and what is done is gathered. Can go to: cancelled.
    case cancelling
    /// What was not done by then is never done. Final.
    case cancelled

    package var hasEnded: Bool {
        switch self {
        case .validating, .inProgress, .finalizing, .cancelling: false
        case .failed, .completed, .expired, .cancelled: true
        }
    }
}

/// How a batch ends that was not refused.
package enum BatchEnding: String, Sendable, CaseIterable {
    case completed
    case expired
    case cancelled
}

/// What became of a batch's requests.
package struct BatchCounts: Sendable, Equatable {
    package var total: Int
    package var completed: Int
    package var failed: Int

    package init(total: Int = 0, completed: Int = 0, failed: Int = 0) {
        self.total = total
        self.completed = completed
        self.failed = failed
    }
}

package struct BatchMoments: Sendable, Equatable {
    package var created: Timestamp
    /// When what is not done by then is given up.
    package var expires: Timestamp
    package var inProgress: Timestamp?
    package var finalizing: Timestamp?
    package var completed: Timestamp?
    package var failed: Timestamp?
    package var expired: Timestamp?
    package var cancelling: Timestamp?
    package var cancelled: Timestamp?

    package init(created: Timestamp, expires: Timestamp) {
        self.created = created
        self.expires = expires
    }
}

/// What is wrong with a batch's file. Safe to send to a client.
package struct BatchError: Error, Sendable, Equatable {
    /// A word for programs, such as `duplicate_custom_id`.
    package let code: String
    package let message: String
    /// The member at fault.
    package let parameter: String?
    /// From 1; nil where the file as a whole is at fault.
    package let line: Int?

    package init(code: String, message: String, parameter: String? = nil, line: Int? = nil) {
        self.code = code
        self.message = message
        self.parameter = parameter
        self.line = line
    }
}

/// One line of a batch's file that passed validation.
package struct BatchRequest: Sendable, Equatable {
    /// From 1, blank lines counted.
    package let line: Int
    /// 1 to 512 bytes of UTF-8, no NUL; no other request of the batch has it.
    package let customID: String
    package let content: Content

    package enum Content: Sendable, Equatable {
        /// The job's inputs in this range are its texts.
        case embedded(inputs: Range<Int>, AnswerFormat)
        /// It cannot be answered, and no text of it is embedded.
        case refused(ItemError, parameter: String?)
    }

    package init(line: Int, customID: String, content: Content) {
        self.line = line
        self.customID = customID
        self.content = content
    }
}

/// How vectors are written in an answer.
package struct AnswerFormat: Sendable, Equatable {
    package enum Encoding: String, Sendable, CaseIterable {
        case float
        /// Of little-endian float32.
        case base64
    }

    package let encoding: Encoding
    /// At most the model's own.
    package let dimensions: Int

    package init(encoding: Encoding, dimensions: Int) {
        self.encoding = encoding
        self.dimensions = dimensions
    }
}
