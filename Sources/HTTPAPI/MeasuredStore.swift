import Embeddings

/// A store whose calls are timed as the stage `store`, for the metrics and for the request that makes them.
struct MeasuredStore: DocumentStore {
    let base: any DocumentStore
    let metrics: HTTPMetrics

    private func measured<Result>(
        _ operation: () async throws(StorageError) -> Result
    ) async throws(StorageError) -> Result {
        let start = ContinuousClock.now
        defer {
            let elapsed = ContinuousClock.now - start
            metrics.recordStore(elapsed)
            StageTimes.current?.addStore(elapsed)
        }
        return try await operation()
    }

    func createCollection(_ specification: CollectionSpecification) async throws(StorageError) -> CollectionCreation {
        try await measured { () async throws(StorageError) in try await base.createCollection(specification) }
    }

    func collection(named name: CollectionName) async throws(StorageError) -> DocumentCollection? {
        try await measured { () async throws(StorageError) in try await base.collection(named: name) }
    }

    func collections() async throws(StorageError) -> [DocumentCollection] {
        try await measured { () async throws(StorageError) in try await base.collections() }
    }

    func documentCount(in collection: DocumentCollection) async throws(StorageError) -> Int {
        try await measured { () async throws(StorageError) in try await base.documentCount(in: collection) }
    }

    func dropCollection(named name: CollectionName) async throws(StorageError) -> Bool {
        try await measured { () async throws(StorageError) in try await base.dropCollection(named: name) }
    }

    func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) async throws(StorageError) -> [Int] {
        try await measured { () async throws(StorageError) in
            try await base.draftsNeedingEmbedding(drafts, in: collection)
        }
    }

    func write(
        _ writes: [DocumentWrite], to collection: DocumentCollection
    ) async throws(StorageError) -> [DocumentOutcome] {
        try await measured { () async throws(StorageError) in try await base.write(writes, to: collection) }
    }

    func document(id: String, in collection: DocumentCollection) async throws(StorageError) -> StoredDocument? {
        try await measured { () async throws(StorageError) in try await base.document(id: id, in: collection) }
    }

    func documents(
        after id: String?, limit: Int, in collection: DocumentCollection
    ) async throws(StorageError) -> DocumentPage {
        try await measured { () async throws(StorageError) in
            try await base.documents(after: id, limit: limit, in: collection)
        }
    }

    func deleteDocuments(
        _ selection: DocumentSelection, in collection: DocumentCollection
    ) async throws(StorageError) -> Int {
        try await measured { () async throws(StorageError) in
            try await base.deleteDocuments(selection, in: collection)
        }
    }

    func search(_ request: SearchRequest, in collection: DocumentCollection) async throws(StorageError) -> [SearchHit] {
        try await measured { () async throws(StorageError) in try await base.search(request, in: collection) }
    }

    func unavailability() async -> StorageError? {
        await base.unavailability()
    }
}
