import Embeddings
import JSON
import Logging

/// One upsert under way: takes documents in order, commits them chunk by chunk, keeps the count.
struct Upsert {
    /// What happens while the queue is full.
    enum Patience {
        /// The client is told to come again, as long as nothing has been committed.
        case refusesFirstChunk
        /// Reading pauses, and so does the client.
        case waits
    }

    /// How its texts are embedded.
    struct Terms {
        let lane: Lane
        let client: ClientID
        /// From then on no further chunk is begun; those that were written stay.
        let deadline: ContinuousClock.Instant?
        let patience: Patience
    }

    private let indexer: DocumentIndexer
    private let collection: DocumentCollection
    private let configuration: HTTPConfiguration
    private let clock: any Clock<Duration>
    private let terms: Terms

    private var chunk: [Entry] = []
    /// Of the texts that wait to be written.
    private(set) var chunkBytes = 0
    private(set) var report: UpsertReport
    /// The first document, or line, whose fate this upsert does not know: from there on a client sends again.
    private(set) var resumeIndex = 0

    private struct Entry {
        let index: Int
        let content: Result<DocumentDraft, DocumentError>
    }

    init(
        indexer: DocumentIndexer, collection: DocumentCollection, configuration: HTTPConfiguration,
        clock: any Clock<Duration>, terms: Terms
    ) {
        self.indexer = indexer
        self.collection = collection
        self.configuration = configuration
        self.clock = clock
        self.terms = terms
        report = UpsertReport(maximumErrors: configuration.maxReportedErrors)
    }

    mutating func add(_ value: JSONValue, at index: Int) async throws(APIError) {
        let content: Result<DocumentDraft, DocumentError>
        do throws(DocumentError) {
            let draft = try DocumentReader.read(value, maximumTextBytes: configuration.maxTextBytes)
            // Metadata is bounded by its own limit; text is what grows.
            chunkBytes += draft.text.utf8.count
            content = .success(draft)
        } catch {
            content = .failure(error)
        }
        try await append(Entry(index: index, content: content))
    }

    mutating func addFailure(_ reason: String, at index: Int) async throws(APIError) {
        try await append(Entry(index: index, content: .failure(DocumentError(reason: reason, id: nil))))
    }

    private mutating func append(_ entry: Entry) async throws(APIError) {
        chunk.append(entry)
        if chunk.count >= configuration.documentsPerChunk || chunkBytes >= configuration.bytesPerChunk {
            try await commit()
        }
    }

    /// Writes what has been added and not been written.
    mutating func commit() async throws(APIError) {
        guard let last = chunk.last else { return }
        var drafts: [DocumentDraft] = []
        var origins: [Int] = []
        var places: [ExactText: Int] = [:]
        var supersededCount = 0
        for entry in chunk {
            guard case .success(let draft) = entry.content else { continue }
            if let place = places[ExactText(draft.id)] {
                // The last of an id wins, as it would in two chunks.
                drafts[place] = draft
                origins[place] = entry.index
                supersededCount += 1
            } else {
                places[ExactText(draft.id)] = drafts.count
                drafts.append(draft)
                origins.append(entry.index)
            }
        }
        let results = drafts.isEmpty ? [] : try await index(drafts)
        // Counted only now: a chunk that failed is sent again as a whole.
        for entry in chunk {
            if case .failure(let error) = entry.content {
                report.addFailure(at: entry.index, id: error.id, reason: error.reason)
            }
        }
        for (place, result) in results.enumerated() {
            report.add(result, at: origins[place], id: drafts[place].id)
        }
        report.superseded += supersededCount
        resumeIndex = last.index + 1
        chunk.removeAll(keepingCapacity: true)
        chunkBytes = 0
    }

    private func index(_ drafts: [DocumentDraft]) async throws(APIError) -> [IndexedDocument] {
        var waited = Duration.zero
        while true {
            try terms.deadline.check()
            do throws(IndexingError) {
                return try await indexer.index(
                    drafts, in: collection, lane: terms.lane, client: terms.client, deadline: terms.deadline)
            } catch {
                guard case .embedding(.overloaded(let retryAfter)) = error, mayWait,
                    waited < configuration.overloadPatience
                else {
                    if case .storage(let error) = error, let details = error.details {
                        Logger.current.warning(
                            "The store failed", metadata: ["error": "\(error)", "details": "\(details)"])
                    }
                    throw APIError(error)
                }
                let pause = min(max(retryAfter, .milliseconds(10)), .seconds(2))
                do { try await clock.sleep(for: pause) } catch { throw APIError(EmbeddingError.cancelled) }
                waited += pause
            }
        }
    }

    private var mayWait: Bool {
        switch terms.patience {
        case .waits: true
        case .refusesFirstChunk: resumeIndex > 0
        }
    }
}

/// What an upsert has done so far.
struct UpsertReport {
    private(set) var inserted = 0
    private(set) var updated = 0
    private(set) var unchanged = 0
    private(set) var failed = 0
    /// Newly embedded texts over the model's limit.
    private(set) var truncated = 0
    /// Documents that a later one of the same id, sent close behind, replaced before they were written.
    var superseded = 0
    private var errors: [JSONValue] = []
    private let maximumErrors: Int

    init(maximumErrors: Int) {
        self.maximumErrors = maximumErrors
    }

    mutating func add(_ result: IndexedDocument, at index: Int, id: String) {
        switch result {
        case .inserted(let isTruncated):
            inserted += 1
            truncated += isTruncated ? 1 : 0
        case .updated(let isTruncated):
            updated += 1
            truncated += isTruncated ? 1 : 0
        case .unchanged: unchanged += 1
        case .failed(let reason): addFailure(at: index, id: id, reason: reason)
        }
    }

    mutating func addFailure(at index: Int, id: String?, reason: String) {
        failed += 1
        guard errors.count < maximumErrors else { return }
        errors.append([
            "index": .number(JSONNumber(index)), "id": id.map { .string($0) } ?? .null, "message": .string(reason),
        ])
    }

    /// How many documents it knows the fate of.
    var total: Int { inserted + updated + unchanged + failed + superseded }

    var json: JSONObject {
        var object = JSONObject()
        for (name, count) in [
            ("inserted", inserted), ("updated", updated), ("unchanged", unchanged), ("failed", failed),
            ("truncated", truncated), ("superseded", superseded),
        ] {
            object[name] = .number(JSONNumber(count))
        }
        object["errors"] = .array(errors)
        return object
    }
}
