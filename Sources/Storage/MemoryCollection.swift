import Embeddings
import JSON

/// One collection's documents, held as the database would hold them.
struct MemoryCollection: Sendable {
    let description: DocumentCollection
    private var documents: [ExactText: Document] = [:]
    /// The keys of `documents`, sorted.
    private var ids: [ExactText] = []

    private struct Document {
        var text: String
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

    mutating func write(_ write: DocumentWrite) -> DocumentOutcome {
        let id = ExactText(write.draft.id)
        let stored = documents[id]
        let metadata = write.draft.metadata.storable
        let hasSameText = stored.map { ExactText($0.text) == ExactText(write.draft.text) } ?? false
        if let stored, hasSameText, stored.metadata.isSame(as: metadata) { return .unchanged }
        if let embedding = write.embedding {
            documents[id] = Document(
                text: write.draft.text, metadata: metadata, tokenCount: embedding.tokenCount,
                isTruncated: embedding.isTruncated, vector: HalfVector(rounding: embedding.vector))
            if stored == nil { ids.insert(id, at: place(after: id)) }
            return stored == nil ? .inserted : .updated
        }
        guard hasSameText else { return .needsEmbedding }
        documents[id]?.metadata = metadata
        return .updated
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
        for id in doomed { documents[id] = nil }
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
