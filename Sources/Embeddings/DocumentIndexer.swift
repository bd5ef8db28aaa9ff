/// Brings documents into a collection: embeds what has no vector for its text yet, writes everything in one transaction.
package struct DocumentIndexer: Sendable {
    private let embedder: any Embedder
    private let store: any DocumentStore

    /// How often a document that another writer changes between our look and our write is embedded again.
    private static let maximumRounds = 4

    package init(embedder: any Embedder, store: any DocumentStore) {
        self.embedder = embedder
        self.store = store
    }

    /// One result a draft, in order. All that can be written is committed when it returns; after an error nothing may be
    /// assumed, and the same call can be repeated.
    ///
    /// - Parameter deadline: of the embedding; what is embedded is written, however late it is.
    /// - Precondition: the ids differ from each other; the collection's fingerprint is the embedder's.
    package func index(
        _ drafts: [DocumentDraft], in collection: DocumentCollection, lane: Lane, client: ClientID = .unnamed,
        deadline: ContinuousClock.Instant? = nil
    ) async throws(IndexingError) -> [IndexedDocument] {
        let terms = Terms(lane: lane, client: client, deadline: deadline)
        precondition(collection.fingerprint == embedder.model.fingerprint)
        var results = [IndexedDocument](repeating: .failed(reason: ""), count: drafts.count)
        var pending = Array(drafts.indices)
        var needed = try await draftsNeedingEmbedding(drafts, in: collection)
        for _ in 0..<Self.maximumRounds {
            let embeddings = try await embed(needed.map { drafts[$0].text }, terms)
            var embedding: [Int: EmbeddedText] = [:]
            for (index, result) in zip(needed, embeddings) { embedding[index] = result }
            // Texts that the encoder cannot read fail alone.
            for case (let index, .failed(let reason)) in embedding { results[index] = .failed(reason: reason) }
            pending.removeAll { index in
                if case .failed = embedding[index] { true } else { false }
            }
            let writes = pending.map { index in
                guard case .embedded(let value) = embedding[index] else {
                    return DocumentWrite(draft: drafts[index], embedding: nil)
                }
                return DocumentWrite(draft: drafts[index], embedding: value)
            }
            guard !writes.isEmpty else { return results }
            let outcomes = try await write(writes, to: collection)
            needed = []
            for (index, (write, outcome)) in zip(pending, zip(writes, outcomes)) {
                let isTruncated = write.embedding?.isTruncated ?? false
                switch outcome {
                case .inserted: results[index] = .inserted(isTruncated: isTruncated)
                case .updated: results[index] = .updated(isTruncated: isTruncated)
                case .unchanged: results[index] = .unchanged
                case .needsEmbedding: needed.append(index)
                }
            }
            guard !needed.isEmpty else { return results }
            pending = needed
        }
        throw .contention
    }

    /// How the embedder is asked.
    private struct Terms {
        let lane: Lane
        let client: ClientID
        let deadline: ContinuousClock.Instant?
    }

    private enum EmbeddedText {
        case embedded(Embedding)
        case failed(reason: String)
    }

    /// Texts that the encoder cannot read fail alone; what is too large for the queue is halved until it fits, or is one
    /// text.
    private func embed(_ texts: [String], _ terms: Terms) async throws(IndexingError) -> [EmbeddedText] {
        guard !texts.isEmpty else { return [] }
        let request = EmbeddingRequest(
            inputs: texts.map { .text($0) }, role: .document, lane: terms.lane, client: terms.client,
            deadline: terms.deadline, failurePolicy: .perInput)
        do throws(EmbeddingError) {
            return try await embedder.embedEach(request).results.map { result in
                switch result {
                case .success(let embedding): .embedded(embedding)
                case .failure(let error): .failed(reason: error.ownMessage)
                }
            }
        } catch {
            switch error {
            case .requestTooLarge, .vectorNotFinite, .computeFailed, .inputTooLong, .invalidToken:
                guard texts.count > 1 else { return [.failed(reason: error.ownMessage)] }
                let middle = texts.count / 2
                return try await embed(Array(texts[..<middle]), terms) + embed(Array(texts[middle...]), terms)
            case .overloaded, .deadlineUnreachable, .deadlineExceeded, .shuttingDown, .cancelled:
                throw .embedding(error)
            }
        }
    }

    private func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) async throws(IndexingError) -> [Int] {
        do throws(StorageError) {
            return try await store.draftsNeedingEmbedding(drafts, in: collection)
        } catch { throw .storage(error) }
    }

    private func write(
        _ writes: [DocumentWrite], to collection: DocumentCollection
    ) async throws(IndexingError) -> [DocumentOutcome] {
        do throws(StorageError) {
            return try await store.write(writes, to: collection)
        } catch { throw .storage(error) }
    }
}

/// What became of one draft.
package enum IndexedDocument: Sendable, Equatable {
    /// `isTruncated`: the text was over the model's limit and its end is not in the vector.
    case inserted(isTruncated: Bool)
    case updated(isTruncated: Bool)
    case unchanged
    /// It was not written; the reason is safe to send to a client.
    case failed(reason: String)
}

/// Why `DocumentIndexer` gave up. Descriptions are safe to send to a client.
package enum IndexingError: Error, Equatable, CustomStringConvertible {
    case embedding(EmbeddingError)
    case storage(StorageError)
    /// Other writers changed the same documents again and again.
    case contention

    package var description: String {
        switch self {
        case .embedding(let error): error.description
        case .storage(let error): error.description
        case .contention: "other requests are writing the same documents"
        }
    }
}
