import Embeddings
import Foundation
import Postgres
import Storage
import Testing

/// Rows a second through the path that workers take, beside what most programs do. Wants a server that does nothing else:
///
///     OVENBIRD_BENCH=1 OVENBIRD_TEST_DATABASE_URL=… swift test -c release --filter WritePathBench
///
/// Prints one line of JSON. A row has 384 dimensions, a paragraph of 462 bytes and three members of metadata; vectors are
/// rounded and encoded within the time taken, the client runs on the same processors as the server.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["OVENBIRD_BENCH"] == "1"), .serialized)
struct WritePathBench {
    private static let dimensions = 384
    private static let segmentCount = 300
    private static let rows = segmentCount * 256

    @Test(.timeLimit(.minutes(10)))
    func storesSegments() async throws {
        try await SegmentFixture.with(dimensions: Self.dimensions) { fixture in
            let embeddings = Sample.vectors(256, dimensions: Self.dimensions, seed: 7).map {
                Embedding(vector: $0, tokenCount: 100, isTruncated: false)
            }
            let rowByRow = try await Self.insertRowByRow(embeddings, connections: 1, pool: fixture.pool)
            var figures: [String: Any] = ["row_by_row_rows_per_second": Int(rowByRow)]
            for connections in [1, 2, 3, 4] {
                let (finishing, whole) = try await Self.finish(embeddings, connections: connections, fixture: fixture)
                figures["connections_\(connections)"] = [
                    "finish_rows_per_second": Int(finishing), "claim_load_finish_rows_per_second": Int(whole),
                    "row_by_row_rows_per_second": Int(
                        try await Self.insertRowByRow(embeddings, connections: connections, pool: fixture.pool)),
                    "times_row_by_row": Int(finishing / rowByRow),
                ]
            }
            figures["server"] = try await Self.settings(fixture.pool)
            let line = try JSONSerialization.data(withJSONObject: figures, options: .sortedKeys)
            print(String(decoding: line, as: UTF8.self))
        }
    }

    /// Half of the segments are claimed and loaded before the clock starts, of the others the whole way is timed.
    private static func finish(
        _ embeddings: [Embedding], connections: Int, fixture: SegmentFixture
    ) async throws -> (finishing: Double, whole: Double) {
        let job = try await prepareJob(fixture)
        var leased: [(segment: LeasedSegment, outcomes: [InputOutcome])] = []
        for _ in 0..<segmentCount / 2 {
            let segment = try await fixture.claimOne(for: .seconds(600))
            leased.append((segment, try await outcomes(of: segment, embeddings: embeddings, fixture: fixture)))
        }
        let work = leased
        let finishing = try await seconds(connections) { worker in
            for index in stride(from: worker, to: work.count, by: connections) {
                let answer = try await fixture.store.finish(work[index].segment, with: work[index].outcomes)
                #expect(answer == .finished)
            }
        }
        let whole = try await seconds(connections) { _ in
            while let segment = try await fixture.claim().first {
                let outcomes = try await outcomes(of: segment, embeddings: embeddings, fixture: fixture)
                let answer = try await fixture.store.finish(segment, with: outcomes)
                #expect(answer == .finished)
            }
        }
        let counts = try await fixture.counts(of: job)
        #expect(counts.state == "completed" && counts.succeeded == rows)
        return (Double(rows / 2) / finishing, Double(rows / 2) / whole)
    }

    private static func outcomes(
        of segment: LeasedSegment, embeddings: [Embedding], fixture: SegmentFixture
    ) async throws -> [InputOutcome] {
        try await fixture.store.load(segment).map { input in
            InputOutcome(index: input.index, kind: .embedded(embeddings[input.index % embeddings.count]))
        }
    }

    private static func prepareJob(_ fixture: SegmentFixture) async throws -> JobID {
        let job = try await fixture.job((0..<rows).map { .init(id: "\($0)", text: "") })
        let prefix = String(job.description.suffix(8))
        _ = try await fixture.pool.query(
            """
            UPDATE ovenbird.job_inputs AS i SET
                external_id = 'document-' || \(prefix) || '-' || i.seq,
                text = repeat(md5(i.seq::text || \(prefix)) || ' ', 14),
                content_sha256 = sha256(convert_to(i.seq::text || \(prefix), 'UTF8')),
                metadata = jsonb_build_object('page', i.seq, 'source', 'bench', 'tag', 'tag ' || i.seq % 10)
            FROM ovenbird.jobs AS j WHERE j.public_id = \(job.description) AND i.job_id = j.id
            """, timeout: .seconds(60))
        for table in ["job_inputs", "job_segments"] {
            _ = try await fixture.pool.query(
                "VACUUM ANALYZE ovenbird.\(identifier: table)", timeout: .seconds(60))
        }
        _ = try await fixture.pool.query("CHECKPOINT", timeout: .seconds(60))
        return job
    }

    /// One statement a row, each its own transaction, the vector as text.
    private static func insertRowByRow(
        _ embeddings: [Embedding], connections: Int, pool: PostgresPool
    ) async throws -> Double {
        let count = 2_000
        _ = try await pool.query(
            """
            DO $$ BEGIN
                DROP TABLE IF EXISTS row_by_row;
                CREATE TABLE row_by_row (
                    id text PRIMARY KEY, text text NOT NULL, metadata jsonb NOT NULL, embedding halfvec(384) NOT NULL);
            END $$
            """)
        let texts = (0..<count).map { String(repeating: "\(UInt64($0) &* 0x9e37_79b9_7f4a_7c15) ", count: 22) }
        let taken = try await seconds(connections) { worker in
            for index in stride(from: worker, to: count, by: connections) {
                let values = embeddings[index % embeddings.count].vector.values
                let vector = "[" + values.map(String.init(describing:)).joined(separator: ",") + "]"
                let metadata = JSONBText(#"{"page":\#(index),"source":"bench","tag":"tag \#(index % 10)"}"#)
                _ = try await pool.query(
                    """
                    INSERT INTO row_by_row VALUES (
                        \("document-\(index)"), \(texts[index]), \(metadata), \(vector)::text::halfvec(384))
                    """)
            }
        }
        return Double(count) / taken
    }

    private static func seconds(
        _ workers: Int, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws -> Double {
        let taken = try await ContinuousClock().measure {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<workers { group.addTask { try await body(worker) } }
                try await group.waitForAll()
            }
        }
        return Double(taken.components.seconds) + Double(taken.components.attoseconds) / 1e18
    }

    private static func settings(_ pool: PostgresPool) async throws -> [String: String] {
        let rows = try await pool.query(
            """
            SELECT name, setting || coalesce(' × ' || unit, '') FROM pg_settings WHERE name IN (
                'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'server_version')
            """)
        var settings: [String: String] = [:]
        for row in rows { settings[try row.decode(0)] = try row.decode(1, as: String.self) }
        return settings
    }
}
