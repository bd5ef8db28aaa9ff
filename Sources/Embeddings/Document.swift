package import JSON

/// A document as its owner sends it.
package struct DocumentDraft: Sendable, Equatable {
    /// 1 to 512 bytes of UTF-8, no NUL.
    package let id: String
    /// Not empty, no NUL.
    package let text: String
    /// A JSON object without NUL, malformed text or numbers beyond a double's range.
    package let metadata: JSONObject

    package init(id: String, text: String, metadata: JSONObject = JSONObject()) {
        self.id = id
        self.text = text
        self.metadata = metadata
    }
}

/// A document as it is stored, without its vector.
package struct StoredDocument: Sendable, Equatable {
    package let id: String
    package let text: String
    package let metadata: JSONObject
    package let tokenCount: Int
    package let isTruncated: Bool

    package init(id: String, text: String, metadata: JSONObject, tokenCount: Int, isTruncated: Bool) {
        self.id = id
        self.text = text
        self.metadata = metadata
        self.tokenCount = tokenCount
        self.isTruncated = isTruncated
    }
}

/// What is written for one document: with an embedding its text and vector; without one, only metadata, and only while
/// the stored text is still the draft's.
package struct DocumentWrite: Sendable, Equatable {
    package let draft: DocumentDraft
    package let embedding: Embedding?

    package init(draft: DocumentDraft, embedding: Embedding?) {
        self.draft = draft
        self.embedding = embedding
    }
}

package enum DocumentOutcome: Sendable, Equatable {
    case inserted
    /// Its text, or its metadata, is new.
    case updated
    case unchanged
    /// Nothing was written: no embedding came with it, and the stored text is not (or no longer) the draft's.
    case needsEmbedding
}

package struct DocumentPage: Sendable, Equatable {
    package let documents: [StoredDocument]
    /// The last document's id where more follow.
    package let next: String?

    package init(documents: [StoredDocument], next: String?) {
        self.documents = documents
        self.next = next
    }
}

package struct SearchRequest: Sendable, Equatable {
    /// Any length but zero; the collection's dimensions.
    package let vector: EmbeddingVector
    /// 1 to 1,000.
    package let limit: Int
    package let filter: MetadataFilter?
    package let includesVectors: Bool

    package init(vector: EmbeddingVector, limit: Int, filter: MetadataFilter? = nil, includesVectors: Bool = false) {
        self.vector = vector
        self.limit = limit
        self.filter = filter
        self.includesVectors = includesVectors
    }
}

package struct SearchHit: Sendable, Equatable {
    package let id: String
    /// Cosine, -1 to 1.
    package let score: Double
    package let text: String
    package let metadata: JSONObject
    /// As stored, so rounded to half precision.
    package let vector: EmbeddingVector?

    package init(id: String, score: Double, text: String, metadata: JSONObject, vector: EmbeddingVector?) {
        self.id = id
        self.score = score
        self.text = text
        self.metadata = metadata
        self.vector = vector
    }
}

package enum DocumentSelection: Sendable, Equatable {
    case ids([String])
    case filter(MetadataFilter)
}
