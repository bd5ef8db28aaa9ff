import Embeddings
import Storage

/// The store in memory, with failures on demand. An actor: its state is only its own.
actor FaultyStore: DocumentStore {
    private let base = MemoryDocumentStore()
    private var failure: StorageError?
    /// Writes that still succeed before `failure` strikes; nil where it strikes everything.
    private var remainingWrites: Int?
    /// Writes without an embedding of these ids answer `needsEmbedding` once: as if another writer came between.
    private var racedIDs: Set<String> = []

    func fail(_ failure: StorageError?, afterWrites count: Int? = nil) {
        self.failure = failure
        remainingWrites = count
    }

    func race(_ ids: Set<String>) { racedIDs = ids }

    private func check() throws(StorageError) {
        if let failure, remainingWrites == nil { throw failure }
    }

    func createCollection(_ specification: CollectionSpecification) async throws(StorageError) -> CollectionCreation {
        try check()
        return try await base.createCollection(specification)
    }

    func collection(named name: CollectionName) async throws(StorageError) -> DocumentCollection? {
        try check()
        return try await base.collection(named: name)
    }

    func collections() async throws(StorageError) -> [DocumentCollection] {
        try check()
        return try await base.collections()
    }

    func documentCount(in collection: DocumentCollection) async throws(StorageError) -> Int {
        try check()
        return try await base.documentCount(in: collection)
    }

    func dropCollection(named name: CollectionName) async throws(StorageError) -> Bool {
        try check()
        return try await base.dropCollection(named: name)
    }

    func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) async throws(StorageError) -> [Int] {
        try check()
        return try await base.draftsNeedingEmbedding(drafts, in: collection)
    }

    func write(
        _ writes: [DocumentWrite], to collection: DocumentCollection
    ) async throws(StorageError) -> [DocumentOutcome] {
        if let failure {
            guard let remaining = remainingWrites, remaining > 0 else { throw failure }
            remainingWrites = remaining - 1
        }
        let isRaced = writes.map { $0.embedding == nil && racedIDs.remove($0.draft.id) != nil }
        let passed = zip(writes, isRaced).filter { !$0.1 }.map(\.0)
        var outcomes = try await base.write(passed, to: collection)[...]
        return isRaced.map { $0 ? .needsEmbedding : outcomes.popFirst() ?? .needsEmbedding }
    }

    func document(id: String, in collection: DocumentCollection) async throws(StorageError) -> StoredDocument? {
        try check()
        return try await base.document(id: id, in: collection)
    }

    func documents(
        after id: String?, limit: Int, in collection: DocumentCollection
    ) async throws(StorageError) -> DocumentPage {
        try check()
        return try await base.documents(after: id, limit: limit, in: collection)
    }

    func deleteDocuments(
        _ selection: DocumentSelection, in collection: DocumentCollection
    ) async throws(StorageError) -> Int {
        try check()
        return try await base.deleteDocuments(selection, in: collection)
    }

    func search(_ request: SearchRequest, in collection: DocumentCollection) async throws(StorageError) -> [SearchHit] {
        try check()
        return try await base.search(request, in: collection)
    }

    func unavailability() async -> StorageError? { failure }
}
