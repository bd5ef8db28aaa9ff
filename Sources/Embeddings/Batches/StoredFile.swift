/// A file as the files API shows it.
package struct StoredFile: Sendable, Equatable {
    package let id: FileID
    package let content: FileContent
    /// As its sender named it; a label, never a path.
    package let name: String
    package let byteCount: Int
    package let createdAt: Timestamp
    /// From then on it is unknown.
    package let expiresAt: Timestamp?

    package init(
        id: FileID, content: FileContent, name: String, byteCount: Int, createdAt: Timestamp, expiresAt: Timestamp?
    ) {
        self.id = id
        self.content = content
        self.name = name
        self.byteCount = byteCount
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }

    package var purpose: FilePurpose {
        switch content {
        case .uploaded: .batch
        case .view: .batchOutput
        }
    }
}

/// Where a file's bytes come from.
package enum FileContent: Sendable, Equatable {
    /// Stored as they were sent.
    case uploaded
    /// Written anew from the results of a batch's job each time they are read, always the same.
    case view(of: BatchID, BatchPart)
}

/// Which of its requests a batch's file tells of.
package enum BatchPart: String, Sendable, CaseIterable {
    /// Those that have all their vectors.
    case output
    /// The others.
    case error
}

package enum FilePurpose: String, Sendable, CaseIterable {
    case batch
    case batchOutput = "batch_output"
}

/// Which files a listing holds.
package struct FileQuery: Sendable, Equatable {
    package enum Order: Sendable {
        case newestFirst
        case oldestFirst
    }

    /// Those behind this one, in the order asked for.
    package var after: FileID?
    /// 1 to 10,000.
    package var limit: Int
    package var order: Order
    /// Nil: all of them.
    package var purpose: FilePurpose?

    package init(after: FileID? = nil, limit: Int = 10_000, order: Order = .newestFirst, purpose: FilePurpose? = nil) {
        self.after = after
        self.limit = limit
        self.order = order
        self.purpose = purpose
    }
}

package struct FilePage: Sendable, Equatable {
    package let files: [StoredFile]
    package let hasMore: Bool

    package init(files: [StoredFile], hasMore: Bool) {
        self.files = files
        self.hasMore = hasMore
    }
}

package enum FileDeletion: Sendable, Equatable {
    case deleted
    case unknown
    /// A batch still reads it.
    case inUse(by: BatchID)
}
