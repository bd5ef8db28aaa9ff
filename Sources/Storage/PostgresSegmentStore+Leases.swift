package import Embeddings
import Postgres

extension PostgresSegmentStore {
    package func extend(
        _ leases: [SegmentLease], by duration: Duration
    ) async throws(StorageError) -> Set<SegmentLease> {
        guard !leases.isEmpty else { return [] }
        do throws(PostgresError) {
            // A segment that somebody has locked is being finished or rescued. It is left alone, and not called lost
            // before it is.
            let held = try await pool.query(
                """
                WITH held AS MATERIALIZED (
                    SELECT s.id, s.lease_token FROM unnest(\(leases.map(\.segment)), \(leases.map(\.token)))
                        AS l (segment, token)
                    JOIN ovenbird.job_segments AS s ON s.id = l.segment AND s.lease_token = l.token
                    JOIN ovenbird.jobs AS j ON j.id = s.job_id
                    WHERE s.state = 'running' AND j.state IN ('queued', 'running', 'paused') AND j.deleted_at IS NULL
                ), free AS MATERIALIZED (
                    SELECT s.id, s.lease_token FROM held AS h
                    JOIN ovenbird.job_segments AS s ON s.id = h.id AND s.lease_token = h.lease_token
                    WHERE s.state = 'running' FOR UPDATE OF s SKIP LOCKED
                ), extended AS (
                    UPDATE ovenbird.job_segments AS s
                    SET lease_expires_at = clock_timestamp() + \(sql: duration.interval)
                    FROM free AS f WHERE s.id = f.id AND s.lease_token = f.lease_token AND s.state = 'running'
                )
                SELECT id, lease_token FROM held
                """)
            var lost = Set(leases)
            for row in held { lost.remove(SegmentLease(segment: try row.decode(0), token: try row.decode(1))) }
            return lost
        } catch {
            throw StorageError(error)
        }
    }

    package func giveBack(_ leases: [SegmentLease]) async throws(StorageError) {
        guard !leases.isEmpty else { return }
        try await update(
            leases, set: "\(sql: Self.released), attempt = greatest(s.attempt - 1, 0), run_at = clock_timestamp()")
    }

    package func postpone(
        _ lease: SegmentLease, for delay: Duration, because reason: String
    ) async throws(StorageError) {
        try await update(
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

    /// Changes the segments whose leases hold, locked in the order of their ids.
    private func update(
        _ leases: [SegmentLease], set assignments: PostgresStatement
    ) async throws(StorageError) {
        do throws(PostgresError) {
            _ = try await pool.query(
                """
                WITH held AS MATERIALIZED (
                    SELECT s.id, s.lease_token FROM unnest(\(leases.map(\.segment)), \(leases.map(\.token)))
                        AS l (segment, token)
                    JOIN ovenbird.job_segments AS s ON s.id = l.segment AND s.lease_token = l.token
                    WHERE s.state = 'running'
                    ORDER BY s.id FOR UPDATE OF s
                )
                UPDATE ovenbird.job_segments AS s SET \(sql: assignments) FROM held AS h
                WHERE s.id = h.id AND s.lease_token = h.lease_token AND s.state = 'running'
                """)
        } catch {
            throw StorageError(error)
        }
    }
}
