package import Embeddings
package import Postgres

/// Segments in PostgreSQL. Every step is one statement, carried out by the server once all of it has arrived and committed
/// without another word from us: a worker that is stopped or cut off leaves either nothing or the whole, and no lock.
package struct PostgresSegmentStore {
    let pool: PostgresPool
    let vectorExtension = VectorExtension.Cache()

    package init(pool: PostgresPool) {
        self.pool = pool
    }
}

// `gatherEnqueued` is in PostgresSegmentStore+Enqueue.swift.
extension PostgresSegmentStore: SegmentStore {
    package func claimSegments(_ request: SegmentClaim) async throws(StorageError) -> [LeasedSegment] {
        do throws(PostgresError) {
            let rows = try await pool.query(
                """
                SELECT segment_id, token, job, collection_id, collection_name, model_name, fingerprint, dimensions,
                    metric, attempt, input_count
                FROM ovenbird.claim_segments(
                    \(request.worker), \(request.fingerprint.bytes), \(Int32(clamping: request.maximumCount)),
                    \(sql: request.leaseDuration.interval), \(request.id))
                """)
            var segments: [LeasedSegment] = []
            for row in rows { segments.append(try LeasedSegment(row: row)) }
            return segments
        } catch {
            throw StorageError(error)
        }
    }

    package func load(_ segment: LeasedSegment) async throws(StorageError) -> [SegmentInput] {
        do throws(PostgresError) {
            let results = try await pool.transaction([
                Self.inputsStatement(of: segment.lease),
                """
                SELECT seq, same_as, token_count, truncated, embedding
                FROM ovenbird.known_embeddings(\(segment.lease.segment), \(segment.lease.token))
                """,
            ])
            guard results.count == 2 else { throw .decoding("\(results.count) results of two statements") }
            var known: [Int: KnownEmbedding] = [:]
            for row in results[1] { known[try row.decode(0)] = try KnownEmbedding(row: row) }
            var inputs: [SegmentInput] = []
            for row in results[0] {
                let index: Int = try row.decode(0)
                inputs.append(
                    SegmentInput(index: index, id: try row.decode(1), text: try row.decode(2), known: known[index]))
            }
            return inputs
        } catch {
            throw StorageError(error)
        }
    }
}

extension PostgresSegmentStore {
    /// Seq, id and text of a leased segment's inputs that have no outcome yet.
    ///
    /// With bounds that it does not know the planner expects a small range; of a join with the segments it may expect half
    /// the table, and read all of it for every segment.
    package static func inputsStatement(of lease: SegmentLease) -> PostgresStatement {
        """
        WITH leased AS MATERIALIZED (
            SELECT s.job_id, s.first_seq, s.last_seq, s.pending FROM ovenbird.job_segments AS s
            WHERE s.id = \(lease.segment) AND s.lease_token = \(lease.token)
        )
        SELECT i.seq, i.external_id, i.text FROM ovenbird.job_inputs AS i
        WHERE i.job_id = (SELECT l.job_id FROM leased AS l)
            AND i.seq BETWEEN (SELECT l.first_seq FROM leased AS l) AND (SELECT l.last_seq FROM leased AS l)
            AND ((SELECT l.pending IS NULL FROM leased AS l)
                OR i.seq = ANY ((SELECT l.pending FROM leased AS l)::int[]))
        ORDER BY i.seq
        """
    }
}

extension LeasedSegment {
    /// Reads what `ovenbird.claim_segments` answers.
    fileprivate init(row: PostgresRow) throws(PostgresError) {
        let jobText: String = try row.decode(2)
        guard let job = JobID(jobText) else { throw .decoding("the job '\(jobText)'") }
        var collection: DocumentCollection?
        if let id = try row.decode(3, as: Int64?.self) {
            let nameText: String = try row.decode(4)
            let metricText: String = try row.decode(8)
            let fingerprint: [UInt8] = try row.decode(6)
            guard let name = CollectionName(nameText), let metric = Metric(rawValue: metricText),
                fingerprint.count == 32
            else { throw .decoding("the collection '\(nameText)' of metric '\(metricText)'") }
            collection = DocumentCollection(
                id: id, name: name, modelName: try row.decode(5), fingerprint: ModelFingerprint(bytes: fingerprint),
                dimensions: try row.decode(7), metric: metric)
        }
        self.init(
            lease: SegmentLease(segment: try row.decode(0), token: try row.decode(1)), job: job, collection: collection,
            attempt: try row.decode(9), inputCount: try row.decode(10))
    }
}

extension KnownEmbedding {
    /// Reads what `ovenbird.known_embeddings` answers, behind the input's index.
    fileprivate init(row: PostgresRow) throws(PostgresError) {
        if let index = try row.decode(1, as: Int?.self) {
            self = .sameJob(index: index)
            return
        }
        let vector = try HalfVector.decode(try row.decode(4, as: [UInt8].self)[...], typeOID: PostgresType.bytea)
        self = .stored(
            Embedding(vector: vector.widened, tokenCount: try row.decode(2), isTruncated: try row.decode(3)))
    }
}

extension Duration {
    /// As an `interval`.
    var interval: PostgresStatement {
        let seconds = Double(components.seconds) + Double(components.attoseconds) / 1e18
        return "make_interval(secs => \(seconds))"
    }
}
