package import Embeddings
import Postgres

extension PostgresSegmentStore {
    package func extend(
        _ leases: [SegmentLease], by duration: Duration
    ) async throws(StorageError) -> Set<SegmentLease> {
        guard !leases.isEmpty else { return [] }
        let rows = try await update(
            leases, where: "j.state IN ('queued', 'running', 'paused') AND j.deleted_at IS NULL",
            set: "lease_expires_at = clock_timestamp() + \(sql: duration.interval)")
        do throws(PostgresError) {
            var lost = Set(leases)
            for row in rows { lost.remove(SegmentLease(segment: try row.decode(0), token: try row.decode(1))) }
            return lost
        } catch {
            throw StorageError(error)
        }
    }

    package func giveBack(_ leases: [SegmentLease]) async throws(StorageError) {
        guard !leases.isEmpty else { return }
        _ = try await update(
            leases, set: "\(sql: Self.released), attempt = greatest(s.attempt - 1, 0), run_at = clock_timestamp()")
    }

    package func postpone(
        _ lease: SegmentLease, for delay: Duration, because reason: String
    ) async throws(StorageError) {
        _ = try await update(
            [lease],
            set: """
                \(sql: Self.released), run_at = clock_timestamp() + \(sql: delay.interval),
                last_error = \(String(reason.filter { $0 != "\0" }))
                """)
    }

    package func rescue(_ policy: RescuePolicy) async throws(StorageError) -> RescueReport {
        do throws(PostgresError) {
            let rows = try await pool.query(
                """
                SELECT rescued, split, failed_inputs FROM ovenbird.rescue_segments(
                    \(Int32(clamping: policy.maximumAttempts)), \(sql: policy.backoff.lowerBound.interval),
                    \(sql: policy.backoff.upperBound.interval), \(sql: policy.minimumServerAge.interval))
                """)
            guard let row = rows.first else { throw .decoding("no answer from rescue_segments") }
            return RescueReport(
                rescued: try row.decode(0), split: try row.decode(1), failedInputs: try row.decode(2))
        } catch {
            throw StorageError(error)
        }
    }

    private static let released: PostgresStatement =
        "state = 'available', lease_token = NULL, lease_expires_at = NULL, worker = NULL"

    /// Changes the segments whose leases hold, locked in the order of their ids; answers each with its former token.
    private func update(
        _ leases: [SegmentLease], where condition: PostgresStatement = "true", set assignments: PostgresStatement
    ) async throws(StorageError) -> PostgresResult {
        do throws(PostgresError) {
            return try await pool.query(
                """
                WITH held AS MATERIALIZED (
                    SELECT s.id, s.lease_token FROM unnest(\(leases.map(\.segment)), \(leases.map(\.token)))
                        AS l (segment, token)
                    JOIN ovenbird.job_segments AS s ON s.id = l.segment AND s.lease_token = l.token
                    JOIN ovenbird.jobs AS j ON j.id = s.job_id
                    WHERE s.state = 'running' AND \(sql: condition)
                    ORDER BY s.id FOR UPDATE OF s
                )
                UPDATE ovenbird.job_segments AS s SET \(sql: assignments) FROM held AS h
                WHERE s.id = h.id AND s.lease_token = h.lease_token AND s.state = 'running'
                RETURNING h.id, h.lease_token
                """)
        } catch {
            throw StorageError(error)
        }
    }
}
