import Embeddings

/// A job's results in the order of its inputs, page by page.
struct ResultCursor: Sendable {
    private let store: any JobStore
    private let job: Job
    private let pageSize: Int
    private let patiently: StorePatience
    private let end: Int
    private var position: Int
    private var ahead: ArraySlice<JobResult> = []
    /// Nothing has ended behind what was read.
    private var isDrained = false

    /// What was promised cannot be delivered any more: the job was deleted, or is tried again.
    struct Vanished: Error {}

    init(
        of job: Job, rows: Range<Int>, in store: any JobStore, pageSize: Int, patience: StorePatience
    ) {
        self.store = store
        self.job = job
        self.pageSize = pageSize
        patiently = patience
        position = rows.lowerBound
        end = rows.upperBound
    }

    /// Reads what the first page needs, so that a failure is known before anything is answered.
    mutating func prepare() async throws {
        if ahead.isEmpty, !isDrained, position < end { try await read() }
    }

    /// At most a page; empty at the end.
    mutating func next() async throws -> [JobResult] {
        var rows: [JobResult] = []
        while rows.count < pageSize, position < end {
            if let first = ahead.first, first.index == position {
                rows.append(first)
                ahead.removeFirst()
                position += 1
            } else if ahead.isEmpty, !isDrained {
                guard rows.isEmpty else { return rows }
                try await read()
            } else {
                // An input that has not ended is left out; in a job that has ended there is none.
                guard !job.state.hasEnded else { throw Vanished() }
                position = ahead.first?.index ?? end
            }
        }
        return rows
    }

    private mutating func read() async throws {
        let limit = min(pageSize, end - position)
        let found = try await patiently { [store, job, position] () async throws(StorageError) in
            try await store.results(of: job.id, after: position == 0 ? nil : position - 1, limit: limit)
        }
        ahead = found[...]
        isDrained = found.count < limit
        // A job that was deleted has no results either, and must not look like one that ends here.
        if isDrained { try await confirm() }
    }

    private func confirm() async throws {
        let now = try await patiently { () async throws(StorageError) in try await store.job(job.id) }
        guard let now, now.dataDroppedAt == nil else { throw Vanished() }
        guard now.state == job.state && now.endedAt == job.endedAt || !job.state.hasEnded else { throw Vanished() }
    }
}
