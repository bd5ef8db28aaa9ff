import Embeddings
import JSON
import Postgres
import Storage
import Testing

/// A migrated database with a collection, and jobs made by plain SQL.
struct SegmentFixture: Sendable {
    let store: PostgresSegmentStore
    let documents: PostgresDocumentStore
    let collection: DocumentCollection
    let pool: PostgresPool

    static let fingerprint = Sample.model().fingerprint

    static func with(
        dimensions: Int = 4, _ body: (SegmentFixture) async throws -> Void
    ) async throws {
        try await TestDatabase.withStore { documents, pool in
            try await body(
                SegmentFixture(
                    store: PostgresSegmentStore(pool: pool), documents: documents,
                    collection: try await Sample.collection(in: documents, dimensions: dimensions), pool: pool))
        }
    }

    struct Input {
        var id: String
        var text: String
        var metadata = "{}"
    }

    /// A queued job; of the collection, or of results only.
    @discardableResult
    func job(
        _ inputs: [Input], inCollection: Bool = true, segmentSize: Int = 256, owner: String = "anonymous",
        priority: Int32 = 0, byteCount: Int64? = nil
    ) async throws -> JobID {
        let id = JobID.random()
        let collectionID = inCollection ? collection.id : nil
        let name = inCollection ? collection.name.description : nil
        _ = try await pool.transaction([
            """
            INSERT INTO ovenbird.model_versions (name, fingerprint, dimensions)
            VALUES (\(collection.modelName), \(collection.fingerprint.bytes), \(Int32(collection.dimensions)))
            ON CONFLICT DO NOTHING
            """,
            """
            INSERT INTO ovenbird.jobs (public_id, state, source, owner, priority, model_version_id, collection_id,
                collection_name, total)
            SELECT \(id.description), 'queued', 'http', \(owner), \(priority), min(id), \(collectionID), \(name),
                \(Int64(inputs.count))
            FROM ovenbird.model_versions WHERE fingerprint = \(collection.fingerprint.bytes)
            """,
            """
            INSERT INTO ovenbird.job_inputs (job_id, seq, version, external_id, content_sha256, text, metadata)
            SELECT j.id, i.position - 1, nextval('ovenbird.document_versions'), i.id,
                sha256(convert_to(i.text, 'UTF8')), i.text, i.metadata
            FROM ovenbird.jobs AS j, unnest(
                \(inputs.map(\.id)), \(inputs.map(\.text)), \(inputs.map { JSONBText($0.metadata) })
            ) WITH ORDINALITY AS i (id, text, metadata, position)
            WHERE j.public_id = \(id.description)
            """,
            """
            INSERT INTO ovenbird.job_segments (job_id, first_seq, last_seq, byte_count, state)
            SELECT j.id, s, least(s + \(Int32(segmentSize)), \(Int32(inputs.count))) - 1,
                coalesce(\(byteCount), (
                    SELECT sum(octet_length(i.text)) FROM ovenbird.job_inputs AS i
                    WHERE i.job_id = j.id AND i.seq BETWEEN s AND s + \(Int32(segmentSize - 1)))),
                'available'
            FROM ovenbird.jobs AS j, generate_series(0, \(Int32(inputs.count - 1)), \(Int32(segmentSize))) AS s
            WHERE j.public_id = \(id.description)
            """,
        ])
        return id
    }

    @discardableResult
    func job(
        _ count: Int, inCollection: Bool = true, segmentSize: Int = 256, owner: String = "anonymous",
        priority: Int32 = 0, byteCount: Int64? = nil
    ) async throws -> JobID {
        try await job(
            (0..<count).map { Input(id: "d\($0)", text: "text \($0)") }, inCollection: inCollection,
            segmentSize: segmentSize, owner: owner, priority: priority, byteCount: byteCount)
    }

    func claim(_ count: Int = 1, for duration: Duration = .seconds(30)) async throws -> [LeasedSegment] {
        try await store.claimSegments(
            SegmentClaim(
                worker: "worker", fingerprint: Self.fingerprint, maximumCount: count, leaseDuration: duration))
    }

    func claimOne(for duration: Duration = .seconds(30)) async throws -> LeasedSegment {
        try #require(try await claim(for: duration).first)
    }

    /// Finishes with a vector that points where `direction` says, or as `load` knows better.
    @discardableResult
    func finish(_ segment: LeasedSegment, direction: [Float] = [1, 0, 0, 0]) async throws -> SegmentFinish {
        let inputs = try await store.load(segment)
        return try await store.finish(
            segment,
            with: inputs.map { InputOutcome(index: $0.index, kind: .embedded(Sample.embedding(direction))) })
    }

    func rescue(
        attempts: Int = 3, backoff: ClosedRange<Duration> = .zero ... .zero, serverAge: Duration = .zero
    ) async throws -> RescueReport {
        try await store.rescue(
            RescuePolicy(maximumAttempts: attempts, backoff: backoff, minimumServerAge: serverAge))
    }

    struct Counts: Equatable {
        var state: String
        var succeeded: Int
        var failed: Int
        var deduplicated = 0
        var tokens: Int
    }

    func counts(of job: JobID) async throws -> Counts {
        let rows = try await pool.query(
            """
            SELECT state, succeeded, failed, deduplicated, token_count FROM ovenbird.jobs
            WHERE public_id = \(job.description)
            """)
        let row = try #require(rows.first)
        return Counts(
            state: try row.decode(0), succeeded: try row.decode(1), failed: try row.decode(2),
            deduplicated: try row.decode(3), tokens: try row.decode(4))
    }

    func number(_ statement: PostgresStatement) async throws -> Int {
        try #require(try await pool.query(statement).first).decode(0)
    }

    func text(of id: String) async throws -> String? {
        try await documents.document(id: id, in: collection)?.text
    }
}
