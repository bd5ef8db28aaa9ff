package import Embeddings
import Postgres

extension PostgresSegmentStore {
    /// The server waits at most five seconds for a lock, and writes some hundred rows; a disk may be slow.
    private static let timeout = Duration.seconds(15)

    package func finish(
        _ segment: LeasedSegment, with outcomes: [InputOutcome]
    ) async throws(StorageError) -> SegmentFinish {
        let written = WrittenOutcomes(outcomes)
        precondition(segment.collection == nil || !written.sameAs.contains { $0 != nil })
        do throws(PostgresError) {
            let isFinished = try await vectorExtension.run(on: pool) { vectorExtension throws(PostgresError) in
                let rows = try await pool.query(
                    """
                    SELECT ovenbird.finish_segment(
                        \(segment.lease.segment), \(segment.lease.token), \(written.indexes), \(written.sameAs),
                        \(written.tokenCounts), \(written.truncations),
                        \(sql: vectorExtension.parameter(written.vectors)), \(written.failedIndexes),
                        \(written.errorCodes), \(written.errorMessages), \(written.deduplicatedCount),
                        \(written.readTokenCount))
                    """, timeout: Self.timeout)
                guard let row = rows.first else { throw .decoding("no answer from finish_segment") }
                return try row.decode(0, as: Bool.self)
            }
            return isFinished ? .finished : .jobFailed
        } catch {
            // Raised by the fence.
            if error.code == "OB001" { return .leaseLost }
            throw StorageError(error)
        }
    }
}

/// Outcomes as columns.
private struct WrittenOutcomes {
    // Of those that succeeded.
    private(set) var indexes: [Int32] = []
    private(set) var sameAs: [Int32?] = []
    private(set) var tokenCounts: [Int32?] = []
    private(set) var truncations: [Bool?] = []
    private(set) var vectors: [EmbeddingVector?] = []
    // Of those that failed.
    private(set) var failedIndexes: [Int32] = []
    private(set) var errorCodes: [String] = []
    private(set) var errorMessages: [String] = []

    private(set) var deduplicatedCount = 0
    /// Tokens that the encoder read for them.
    private(set) var readTokenCount = 0

    init(_ outcomes: [InputOutcome]) {
        var embedded: [Int: Embedding] = [:]
        for outcome in outcomes {
            switch outcome.kind {
            case .embedded(let embedding):
                embedded[outcome.index] = embedding
                readTokenCount += embedding.tokenCount
                append(outcome.index, embedding: embedding, vector: embedding.vector)
            case .deduplicated(let embedding):
                deduplicatedCount += 1
                append(outcome.index, embedding: embedding, vector: embedding.vector)
            case .sameAs: deduplicatedCount += 1
            case .failed(let error):
                failedIndexes.append(Int32(outcome.index))
                errorCodes.append(error.code.storable)
                errorMessages.append(error.message.storable)
            }
        }
        for outcome in outcomes {
            guard case .sameAs(let other) = outcome.kind else { continue }
            append(outcome.index, sameAs: other, embedding: embedded[other], vector: nil)
        }
    }

    /// Without an embedding the database knows the tokens, those of the input that has the vector.
    private mutating func append(
        _ index: Int, sameAs other: Int? = nil, embedding: Embedding?, vector: EmbeddingVector?
    ) {
        indexes.append(Int32(index))
        sameAs.append(other.map { Int32($0) })
        tokenCounts.append(embedding.map { Int32(clamping: $0.tokenCount) })
        truncations.append(embedding.map(\.isTruncated))
        vectors.append(vector)
    }
}

extension String {
    /// PostgreSQL's texts hold no NUL.
    fileprivate var storable: String {
        utf8.contains(0) ? String(map { $0 == "\0" ? "\u{FFFD}" : $0 }) : self
    }
}
