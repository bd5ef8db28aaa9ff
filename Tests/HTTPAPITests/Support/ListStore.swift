import Embeddings
import JSON

/// A store in a dictionary, with failures on demand. An actor: its state is only its own.
actor ListStore: DocumentStore {
    private struct Stored {
        var collection: DocumentCollection
        var documents: [String: (document: StoredDocument, vector: EmbeddingVector)] = [:]
    }

    private var collectionsByName: [String: Stored] = [:]
    private var nextID: Int64 = 1
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

    func createCollection(_ specification: CollectionSpecification) throws(StorageError) -> CollectionCreation {
        try check()
        if let existing = collectionsByName[specification.name.description]?.collection {
            return existing.fingerprint == specification.fingerprint ? .existing(existing) : .different(existing)
        }
        let collection = DocumentCollection(
            id: nextID, name: specification.name, modelName: specification.modelName,
            fingerprint: specification.fingerprint, dimensions: specification.dimensions, metric: specification.metric)
        nextID += 1
        collectionsByName[specification.name.description] = Stored(collection: collection)
        return .created(collection)
    }

    func collection(named name: CollectionName) throws(StorageError) -> DocumentCollection? {
        try check()
        return collectionsByName[name.description]?.collection
    }

    func collections() throws(StorageError) -> [DocumentCollection] {
        try check()
        return collectionsByName.values.map(\.collection).sorted { $0.name.description < $1.name.description }
    }

    func documentCount(in collection: DocumentCollection) throws(StorageError) -> Int {
        try check()
        return collectionsByName[collection.name.description]?.documents.count ?? 0
    }

    func dropCollection(named name: CollectionName) throws(StorageError) -> Bool {
        try check()
        return collectionsByName.removeValue(forKey: name.description) != nil
    }

    func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) throws(StorageError) -> [Int] {
        try check()
        let stored = collectionsByName[collection.name.description]?.documents ?? [:]
        return drafts.indices.filter { stored[drafts[$0].id]?.document.text != drafts[$0].text }
    }

    func write(_ writes: [DocumentWrite], to collection: DocumentCollection) throws(StorageError) -> [DocumentOutcome] {
        if let failure {
            guard let remaining = remainingWrites, remaining > 0 else { throw failure }
            remainingWrites = remaining - 1
        }
        guard var stored = collectionsByName[collection.name.description] else {
            throw .collectionNotFound(collection.name)
        }
        var outcomes: [DocumentOutcome] = []
        for write in writes {
            let draft = write.draft
            let previous = stored.documents[draft.id]
            guard let embedding = write.embedding else {
                if racedIDs.remove(draft.id) != nil || previous?.document.text != draft.text {
                    outcomes.append(.needsEmbedding)
                    continue
                }
                guard let previous, previous.document.metadata != draft.metadata else {
                    outcomes.append(.unchanged)
                    continue
                }
                stored.documents[draft.id]?.document = StoredDocument(
                    id: draft.id, text: draft.text, metadata: draft.metadata,
                    tokenCount: previous.document.tokenCount, isTruncated: previous.document.isTruncated)
                outcomes.append(.updated)
                continue
            }
            let document = StoredDocument(
                id: draft.id, text: draft.text, metadata: draft.metadata, tokenCount: embedding.tokenCount,
                isTruncated: embedding.isTruncated)
            stored.documents[draft.id] = (document, embedding.vector)
            outcomes.append(previous == nil ? .inserted : .updated)
        }
        collectionsByName[collection.name.description] = stored
        return outcomes
    }

    private func sorted(_ collection: DocumentCollection) -> [(document: StoredDocument, vector: EmbeddingVector)] {
        (collectionsByName[collection.name.description]?.documents ?? [:]).values
            .sorted { $0.document.id.utf8.lexicographicallyPrecedes($1.document.id.utf8) }
    }

    func document(id: String, in collection: DocumentCollection) throws(StorageError) -> StoredDocument? {
        try check()
        return collectionsByName[collection.name.description]?.documents[id]?.document
    }

    func documents(
        after id: String?, limit: Int, in collection: DocumentCollection
    ) throws(StorageError) -> DocumentPage {
        try check()
        let following = sorted(collection).map(\.document).filter { document in
            id.map { $0.utf8.lexicographicallyPrecedes(document.id.utf8) } ?? true
        }
        let page = Array(following.prefix(limit))
        return DocumentPage(documents: page, next: following.count > limit ? page.last?.id : nil)
    }

    func deleteDocuments(
        _ selection: DocumentSelection, in collection: DocumentCollection
    ) throws(StorageError) -> Int {
        try check()
        let doomed = sorted(collection).map(\.document).filter { document in
            switch selection {
            case .ids(let ids): ids.contains(document.id)
            case .filter(let filter): Self.matches(filter, document.metadata)
            }
        }
        for document in doomed {
            collectionsByName[collection.name.description]?.documents[document.id] = nil
        }
        return doomed.count
    }

    func search(_ request: SearchRequest, in collection: DocumentCollection) throws(StorageError) -> [SearchHit] {
        try check()
        let query = request.vector.normalized() ?? request.vector
        var hits: [SearchHit] = []
        for (document, vector) in sorted(collection) {
            if let filter = request.filter, !Self.matches(filter, document.metadata) { continue }
            let score = zip(query.values, vector.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            hits.append(
                SearchHit(
                    id: document.id, score: score, text: document.text, metadata: document.metadata,
                    vector: request.includesVectors ? vector : nil))
        }
        return Array(hits.sorted { $0.score > $1.score }.prefix(request.limit))
    }

    func unavailability() -> StorageError? { failure }

    private static func matches(_ filter: MetadataFilter, _ metadata: JSONObject) -> Bool {
        func value(_ path: FieldPath) -> JSONValue? {
            path.components.reduce(JSONValue.object(metadata)) { $0?.object?[$1] }
        }
        func scalar(_ scalar: MetadataScalar) -> JSONValue {
            switch scalar {
            case .null: .null
            case .bool(let value): .bool(value)
            case .number(let value): .number(value)
            case .string(let value): .string(value)
            }
        }
        switch filter {
        case .equals(let path, let expected): return value(path) == scalar(expected)
        case .differs(let path, let expected):
            guard let found = value(path) else { return false }
            return found.typeName == scalar(expected).typeName && found != scalar(expected)
        case .anyOf(let path, let choices): return choices.contains { value(path) == scalar($0) }
        case .compares(let path, let comparison, let bound):
            guard case .number(let bound) = bound, let number = value(path)?.number else { return false }
            switch comparison {
            case .greater: return number.value > bound.value
            case .greaterOrEqual: return number.value >= bound.value
            case .less: return number.value < bound.value
            case .lessOrEqual: return number.value <= bound.value
            }
        case .exists(let path, let expected): return (value(path) != nil) == expected
        case .and(let parts): return parts.allSatisfy { matches($0, metadata) }
        case .or(let parts): return parts.contains { matches($0, metadata) }
        case .not(let part): return !matches(part, metadata)
        }
    }
}
