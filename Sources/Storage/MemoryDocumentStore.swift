package import Embeddings
import JSON
import Synchronization

/// Collections in this process's memory, gone when it ends. A lock guards them; reads work on a snapshot outside it.
package final class MemoryDocumentStore: DocumentStore {
    private struct State {
        var collections: [CollectionName: MemoryCollection] = [:]
        var lastID: Int64 = 0
        var lastVersion: Int64 = 0

        mutating func nextVersion() -> Int64 {
            lastVersion += 1
            return lastVersion
        }
    }

    private let state = Mutex(State())

    package init() {}

    package func createCollection(
        _ specification: CollectionSpecification
    ) async throws(StorageError) -> CollectionCreation {
        state.withLock { state in
            if let existing = state.collections[specification.name]?.description {
                return existing.isWhat(specification) ? .existing(existing) : .different(existing)
            }
            state.lastID += 1
            let description = DocumentCollection(
                id: state.lastID, name: specification.name, modelName: specification.modelName,
                fingerprint: specification.fingerprint, dimensions: specification.dimensions,
                metric: specification.metric)
            state.collections[specification.name] = MemoryCollection(description: description)
            return .created(description)
        }
    }

    package func collection(named name: CollectionName) async throws(StorageError) -> DocumentCollection? {
        state.withLock { $0.collections[name]?.description }
    }

    package func collections() async throws(StorageError) -> [DocumentCollection] {
        state.withLock { $0.collections.values.map(\.description) }
            .sorted { ExactText($0.name.description) < ExactText($1.name.description) }
    }

    package func dropCollection(named name: CollectionName) async throws(StorageError) -> Bool {
        state.withLock { $0.collections.removeValue(forKey: name) != nil }
    }

    package func documentCount(in collection: DocumentCollection) async throws(StorageError) -> Int {
        try snapshot(of: collection).documentCount
    }

    package func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) async throws(StorageError) -> [Int] {
        let snapshot = try snapshot(of: collection)
        return drafts.indices.filter { snapshot.needsEmbedding(drafts[$0]) }
    }

    package func write(
        _ writes: [DocumentWrite], to collection: DocumentCollection
    ) async throws(StorageError) -> [DocumentOutcome] {
        try change(collection) { stored, nextVersion in
            writes.map { stored.write($0, version: nextVersion()) }
        }
    }

    package func document(
        id: String, in collection: DocumentCollection
    ) async throws(StorageError) -> StoredDocument? {
        try snapshot(of: collection).document(id)
    }

    package func documents(
        after id: String?, limit: Int, in collection: DocumentCollection
    ) async throws(StorageError) -> DocumentPage {
        try snapshot(of: collection).page(after: id, limit: limit)
    }

    package func deleteDocuments(
        _ selection: DocumentSelection, in collection: DocumentCollection
    ) async throws(StorageError) -> Int {
        try change(collection) { stored, _ in stored.delete(selection) }
    }

    package func search(
        _ request: SearchRequest, in collection: DocumentCollection
    ) async throws(StorageError) -> [SearchHit] {
        try snapshot(of: collection).search(request)
    }

    package func unavailability() async -> StorageError? { nil }

    /// Of two texts for one document the one with the larger version wins.
    func nextVersion() -> Int64 { state.withLock { $0.nextVersion() } }

    func snapshots() -> [MemoryCollection] { state.withLock { Array($0.collections.values) } }

    private func snapshot(of collection: DocumentCollection) throws(StorageError) -> MemoryCollection {
        let stored = state.withLock { $0.collections[collection.name] }
        guard let stored, stored.description.id == collection.id else { throw .collectionNotFound(collection.name) }
        return stored
    }

    func change<Result: Sendable>(
        _ collection: DocumentCollection, _ body: (inout MemoryCollection, _ nextVersion: () -> Int64) -> Result
    ) throws(StorageError) -> Result {
        let result: Result? = state.withLock { state in
            guard state.collections[collection.name]?.description.id == collection.id,
                // Taken out for the time of the change, so that it is changed in place and not in a copy.
                var stored = state.collections.removeValue(forKey: collection.name)
            else { return nil }
            defer { state.collections[collection.name] = stored }
            return body(&stored) { state.nextVersion() }
        }
        guard let result else { throw .collectionNotFound(collection.name) }
        return result
    }
}
