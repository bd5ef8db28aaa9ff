package import JSON

/// What a new job is to be.
package struct JobSpecification: Sendable, Equatable {
    package var source: JobSource
    package var owner: JobOwner
    /// Its fingerprint is the served model's. Nil: results only.
    package var collection: DocumentCollection?
    package var modelName: String
    package var fingerprint: ModelFingerprint
    package var dimensions: Int
    package var priority: Int
    /// 1 to 255 bytes, no NUL; together with the owner it names one submission.
    package var idempotencyKey: String?

    package init(
        source: JobSource, owner: JobOwner, collection: DocumentCollection?, modelName: String,
        fingerprint: ModelFingerprint, dimensions: Int, priority: Int = 0, idempotencyKey: String? = nil
    ) {
        self.source = source
        self.owner = owner
        self.collection = collection
        self.modelName = modelName
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self.priority = priority
        self.idempotencyKey = idempotencyKey
    }

    package init(
        source: JobSource, owner: JobOwner, collection: DocumentCollection?, model: ModelDescription,
        priority: Int = 0, idempotencyKey: String? = nil
    ) {
        self.init(
            source: source, owner: owner, collection: collection, modelName: model.name,
            fingerprint: model.fingerprint, dimensions: model.dimensions, priority: priority,
            idempotencyKey: idempotencyKey)
    }
}

/// One line of a job as it arrived. Its index is its place among the job's inputs, from 0.
package struct JobInput: Sendable, Equatable {
    /// 1 to 512 bytes of UTF-8, no NUL. Where the sender gave none (or none that can be one), the index in decimal.
    package let id: String
    /// A text to embed, or why there is none: such an input has failed from the start.
    package let content: Result<Content, ItemError>

    package struct Content: Sendable, Equatable {
        /// Not empty, no NUL.
        package let text: String
        /// Storable, as `DocumentDraft.metadata`; empty where only results are wanted.
        package let metadata: JSONObject

        package init(text: String, metadata: JSONObject = JSONObject()) {
            self.text = text
            self.metadata = metadata
        }
    }

    package init(id: String, content: Result<Content, ItemError>) {
        self.id = id
        self.content = content
    }
}

/// SHA-256 of everything that makes a submission what it is (32 bytes): its parameters and its body.
package struct RequestHash: Sendable, Hashable {
    package let bytes: [UInt8]

    /// - Precondition: 32 bytes.
    package init(bytes: [UInt8]) {
        precondition(bytes.count == 32)
        self.bytes = bytes
    }
}

package enum JobSubmission: Sendable, Equatable {
    /// It is queued.
    case accepted(Job)
    /// The owner's idempotency key already names this very submission; the new job was discarded.
    case replayed(Job)
    /// The owner's idempotency key already names another submission; the new job was discarded.
    case conflict(JobID)
}

/// One input's end.
package struct JobResult: Sendable, Equatable {
    package let index: Int
    package let id: String
    /// The vector as stored, so rounded to half precision.
    package let outcome: Result<Embedding, ItemError>

    package init(index: Int, id: String, outcome: Result<Embedding, ItemError>) {
        self.index = index
        self.id = id
        self.outcome = outcome
    }
}

package struct JobFailure: Sendable, Equatable {
    package let index: Int
    package let id: String
    package let error: ItemError

    package init(index: Int, id: String, error: ItemError) {
        self.index = index
        self.id = id
        self.error = error
    }
}

/// Which jobs a listing holds, newest first.
package struct JobQuery: Sendable, Equatable {
    /// Empty: all that have been received.
    package var states: Set<JobState>
    package var collection: CollectionName?
    package var source: JobSource?
    /// Those older than this one.
    package var after: JobID?
    /// 1 to 1,000.
    package var limit: Int

    package init(
        states: Set<JobState> = [], collection: CollectionName? = nil, source: JobSource? = nil, after: JobID? = nil,
        limit: Int = 100
    ) {
        self.states = states
        self.collection = collection
        self.source = source
        self.after = after
        self.limit = limit
    }
}

package struct JobPage: Sendable, Equatable {
    package let jobs: [Job]
    /// The last job's id where more follow.
    package let next: JobID?

    package init(jobs: [Job], next: JobID?) {
        self.jobs = jobs
        self.next = next
    }
}

package enum JobCommand: String, Sendable, CaseIterable {
    case pause
    case resume
    case cancel
    case retryFailed = "retry-failed"
}

package enum JobTransition: Sendable, Equatable {
    /// The job as it is now; a command that finds its work already done changes nothing and is no error.
    case done(Job)
    case unknown
    /// The job's state does not allow it.
    case refused(JobState)
}
