import Embeddings

/// One job on its way into the store: takes inputs in order, appends them piece by piece, then commits all of them.
///
/// Whoever has begun one ends it with `commit` or `discard`; what is forgotten is swept away by the store. What the store
/// does not take now is offered again for a while, since a restart of the database should cost no upload.
struct JobIntake {
    private let store: any JobStore
    private let specification: JobSpecification
    private let configuration: HTTPConfiguration
    private let patiently: StorePatience
    private let abandoned: AbandonedDrafts

    private var draft: JobID?
    private var piece: [JobInput] = []
    /// Of the lines that wait to be appended.
    private(set) var heldBytes = 0
    private var appendedCount = 0
    /// Inputs without a text to embed.
    private(set) var invalidCount = 0

    init(
        store: any JobStore, specification: JobSpecification, configuration: HTTPConfiguration,
        clock: any Clock<Duration>, abandoned: AbandonedDrafts
    ) {
        self.store = store
        self.specification = specification
        self.configuration = configuration
        patiently = StorePatience(limit: configuration.jobStorePatience, clock: clock)
        self.abandoned = abandoned
    }

    /// Inputs taken so far, and so the index of the next one.
    var count: Int { appendedCount + piece.count }

    /// - Parameter byteCount: about what the input takes of memory: its line.
    mutating func add(_ input: JobInput, byteCount: Int) async throws(StorageError) {
        if !piece.isEmpty, heldBytes + byteCount > configuration.jobBytesPerAppend { try await append() }
        piece.append(input)
        heldBytes += byteCount
        if case .failure = input.content { invalidCount += 1 }
        if piece.count >= configuration.jobInputsPerAppend { try await append() }
    }

    /// - Precondition: at least one input was added.
    mutating func commit(hash: RequestHash?) async throws(StorageError) -> JobSubmission {
        try await append()
        guard let draft else { preconditionFailure("a job without inputs is no job") }
        let submission = try await patiently { [store] () async throws(StorageError) in
            try await store.commit(draft, hash: hash)
        }
        // Whatever it was answered, nothing of ours is left to drop.
        self.draft = nil
        return submission
    }

    /// Drops what was appended, as far as the store can be reached.
    mutating func discard() async {
        piece = []
        heldBytes = 0
        guard let draft else { return }
        self.draft = nil
        do throws(StorageError) {
            try await store.discard(draft)
        } catch {
            abandoned.add(draft)
        }
    }

    private mutating func append() async throws(StorageError) {
        guard !piece.isEmpty else { return }
        if draft == nil {
            draft = try await patiently { [store, specification] () async throws(StorageError) in
                try await store.beginJob(specification)
            }
        }
        guard let draft else { return }
        try await patiently { [store, piece, appendedCount] () async throws(StorageError) in
            try await store.append(piece, at: appendedCount, to: draft)
        }
        appendedCount += piece.count
        piece.removeAll(keepingCapacity: true)
        heldBytes = 0
    }
}

/// Drafts whose senders are gone. Their own tasks are cancelled, and what a cancelled task asks of the store ends at once.
///
/// An AsyncStream: fed by any task, emptied by one of the server's.
final class AbandonedDrafts: Sendable {
    /// The store sweeps what does not fit.
    private static let limit = 1_024

    private let drafts: AsyncStream<JobID>
    private let sink: AsyncStream<JobID>.Continuation

    init() {
        (drafts, sink) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.limit))
    }

    func add(_ draft: JobID) {
        sink.yield(draft)
    }

    /// No more come; those that there are still go.
    func finish() {
        sink.finish()
    }

    func discardAll(in store: any JobStore) async {
        // A draft that cannot be dropped now is swept by the store later.
        for await draft in drafts { try? await store.discard(draft) }
    }
}
