/// Collections and their documents, in PostgreSQL or in memory, behind one contract.
package protocol DocumentStore: Sendable {
    func createCollection(_ specification: CollectionSpecification) async throws(StorageError) -> CollectionCreation
    func collection(named name: CollectionName) async throws(StorageError) -> DocumentCollection?
    /// By name.
    func collections() async throws(StorageError) -> [DocumentCollection]
    func documentCount(in collection: DocumentCollection) async throws(StorageError) -> Int
    /// Drops it with its documents; false where there was none.
    func dropCollection(named name: CollectionName) async throws(StorageError) -> Bool

    /// The indexes of the drafts that have no vector for their text yet: new ids, and ids whose stored text differs.
    func draftsNeedingEmbedding(
        _ drafts: [DocumentDraft], in collection: DocumentCollection
    ) async throws(StorageError) -> [Int]

    /// Writes all of them in one transaction and answers one outcome a write, in order. Two racing calls leave one call's
    /// text, metadata and vector, never a mixture.
    ///
    /// - Precondition: the ids differ from each other; vectors have the collection's dimensions and are finite.
    func write(_ writes: [DocumentWrite], to collection: DocumentCollection) async throws(StorageError)
        -> [DocumentOutcome]

    func document(id: String, in collection: DocumentCollection) async throws(StorageError) -> StoredDocument?
    /// In the order of the ids' UTF-8 bytes, after the given id.
    func documents(
        after id: String?, limit: Int, in collection: DocumentCollection
    ) async throws(StorageError) -> DocumentPage
    /// How many there were.
    func deleteDocuments(
        _ selection: DocumentSelection, in collection: DocumentCollection
    ) async throws(StorageError) -> Int
    /// The nearest documents by cosine, best first, equal scores in the order of the ids' UTF-8 bytes.
    func search(_ request: SearchRequest, in collection: DocumentCollection) async throws(StorageError) -> [SearchHit]

    /// Answers nil where the store works now, else why it does not.
    func unavailability() async -> StorageError?
}

/// Why the store did not answer. `description` is safe to send to a client; `details` are for the log.
package enum StorageError: Error, Equatable, CustomStringConvertible {
    /// The database cannot be reached or did not answer in time; the same call may succeed later. A write that ended so
    /// may have been committed: repeating it is safe.
    case unavailable(details: String)
    /// The collection was dropped since it was looked up.
    case collectionNotFound(CollectionName)
    /// The database refuses to write: read-only, full disk, missing right.
    case notWritable(details: String)
    /// A fault of ours, or of the schema.
    case internalFailure(details: String)

    package var description: String {
        switch self {
        case .unavailable: "the database cannot be reached now"
        case .collectionNotFound(let name): "there is no collection '\(name)'"
        case .notWritable: "the database does not accept writes now"
        case .internalFailure: "the database could not carry out the request"
        }
    }
}
