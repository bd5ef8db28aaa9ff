import Embeddings
import JSON

/// One collection's documents, held as the database would hold them.
struct MemoryCollection: Sendable {
    let description: DocumentCollection
    private var documents: [ExactText: Document] = [:]
    /// The keys of `documents`, sorted.
    private var ids: [ExactText] = []
    /// A document that has the text.
    private var idOfText: [ExactText: ExactText] = [:]

    private struct Document {
        var text: String
        /// Of two texts for one document the one with the larger version wins.
        var version: Int64
        var metadata: JSONObject
        var tokenCount: Int
        var isTruncated: Bool
        var vector: HalfVector
    }

    init(description: DocumentCollection) {
        self.description = description
    }

    var documentCount: Int { ids.count }

    func needsEmbedding(_ draft: DocumentDraft) -> Bool {
        documents[ExactText(draft.id)].map { ExactText($0.text) != ExactText(draft.text) } ?? true
    }

    /// Writes for whoever stands in the request; that is the latest word on the document.
    mutating func write(_ write: DocumentWrite, version: Int64) -> DocumentOutcome {
        let id = ExactText(write.draft.id)
        let stored = documents[id]
        let metadata = write.draft.metadata.storable
        let hasSameText = stored.map { ExactText($0.text) == ExactText(write.draft.text) } ?? false
        if let stored, hasSameText, stored.metadata.isSame(as: metadata) {
            documents[id]?.version = max(stored.version, version)
            return .unchanged
        }
        if let embedding = write.embedding {
            put(
                Document(
                    text: write.draft.text, version: version, metadata: metadata, tokenCount: embedding.tokenCount,
                    isTruncated: embedding.isTruncated, vector: HalfVector(rounding: embedding.vector)), at: id)
            return stored == nil ? .inserted : .updated
        }
        guard hasSameText else { return .needsEmbedding }
        documents[id]?.metadata = metadata
        documents[id]?.version = version
        return .updated
    }

    /// Writes what a job has embedded; nothing where a later text, or a later word on this one, is there already.
    mutating func write(_ draft: DocumentDraft, _ embedding: Embedding, version: Int64) {
        let id = ExactText(draft.id)
        if let stored = documents[id] {
            guard stored.version < version else { return }
            if ExactText(stored.text) == ExactText(draft.text) {
                documents[id]?.version = version
                documents[id]?.metadata = draft.metadata.storable
                return
            }
        }
        put(
            Document(
                text: draft.text, version: version, metadata: draft.metadata.storable,
                tokenCount: embedding.tokenCount, isTruncated: embedding.isTruncated,
                vector: HalfVector(rounding: embedding.vector)), at: id)
    }

    private mutating func put(_ document: Document, at id: ExactText) {
        if let replaced = documents.updateValue(document, forKey: id) {
            forget(ExactText(replaced.text), of: id)
        } else {
            ids.insert(id, at: place(after: id))
        }
        idOfText[ExactText(document.text)] = id
    }

    private mutating func forget(_ text: ExactText, of id: ExactText) {
        if idOfText[text] == id { idOfText[text] = nil }
    }

    /// The embedding of the document with this id, while it has this text.
    func embedding(of id: String, text: String) -> Embedding? {
        guard let document = documents[ExactText(id)], ExactText(document.text) == ExactText(text) else { return nil }
        return Embedding(
            vector: document.vector.widened, tokenCount: document.tokenCount, isTruncated: document.isTruncated)
    }

    /// The embedding of some document that has this text.
    func embedding(ofText text: String) -> Embedding? {
        idOfText[ExactText(text)].flatMap { embedding(of: $0.text, text: text) }
    }

    func document(_ id: String) -> StoredDocument? {
        documents[ExactText(id)].map { document in
            StoredDocument(
                id: id, text: document.text, metadata: document.metadata, tokenCount: document.tokenCount,
                isTruncated: document.isTruncated)
        }
    }

    func page(after id: String?, limit: Int) -> DocumentPage {
        let page = ids[(id.map { place(after: ExactText($0)) } ?? 0)...].prefix(limit)
        return DocumentPage(
            documents: page.compactMap { document($0.text) },
            next: page.endIndex < ids.endIndex ? page.last?.text : nil)
    }

    mutating func delete(_ selection: DocumentSelection) -> Int {
        let doomed: Set<ExactText> =
            switch selection {
            case .ids(let ids): Set(ids.map(ExactText.init)).filter { documents[$0] != nil }
            case .filter(let filter): Set(documents.filter { filter.matches($1.metadata) }.map(\.key))
            }
        ids.removeAll(where: doomed.contains)
        for id in doomed {
            if let document = documents.removeValue(forKey: id) { forget(ExactText(document.text), of: id) }
        }
        return doomed.count
    }

    func search(_ request: SearchRequest) -> [SearchHit] {
        let query = HalfVector(rounding: request.vector)
        let candidates = documents.compactMap { id, document -> (id: ExactText, score: Double)? in
            guard request.filter?.matches(document.metadata) ?? true else { return nil }
            return document.vector.cosine(to: query).map { (id, $0) }
        }
        let best = candidates.sorted { $0.score != $1.score ? $0.score > $1.score : $0.id < $1.id }
        return best.prefix(request.limit).compactMap { id, score in
            documents[id].map { document in
                SearchHit(
                    id: id.text, score: score, text: document.text, metadata: document.metadata,
                    vector: request.includesVectors ? document.vector.widened : nil)
            }
        }
    }

    /// The first place in `ids` whose id is greater than this one.
    private func place(after id: ExactText) -> Int {
        var range = ids.indices
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            range = id < ids[middle] ? range.lowerBound..<middle : middle + 1..<range.upperBound
        }
        return range.lowerBound
    }
}
