import Embeddings

/// What jobs need of their collections.
extension MemoryDocumentStore {
    /// One document as a job leaves it.
    struct JobWrite: Sendable {
        let draft: DocumentDraft
        let embedding: Embedding
        let version: Int64
    }

    /// False where the collection is gone; then nothing was written.
    func write(_ writes: [JobWrite], to collection: DocumentCollection) -> Bool {
        do throws(StorageError) {
            try change(collection) { stored, _ in
                for write in writes { stored.write(write.draft, write.embedding, version: write.version) }
            }
            return true
        } catch {
            return false
        }
    }

    func exists(_ collection: DocumentCollection) -> Bool {
        snapshots().contains { $0.description.id == collection.id }
    }

    /// What the document with this id has, while it has this text.
    func embedding(of id: String, text: String, in collection: DocumentCollection) -> Embedding? {
        snapshots().first { $0.description.id == collection.id }?.embedding(of: id, text: text)
    }

    /// What some document of the same model has that has this text, its own collection's first.
    func embeddings(
        of inputs: [(id: String, text: String)], for collection: DocumentCollection
    ) -> [Embedding?] {
        let snapshots = snapshots().filter { $0.description.fingerprint == collection.fingerprint }
        let own = snapshots.first { $0.description.id == collection.id }
        return inputs.map { input in
            if let known = own?.embedding(of: input.id, text: input.text) { return known }
            for snapshot in snapshots {
                if let known = snapshot.embedding(ofText: input.text) { return known }
            }
            return nil
        }
    }
}
