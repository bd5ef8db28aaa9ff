import Postgres
import Synchronization

/// Tells workers that listen that there is something to claim. They look for themselves every so often, so what is not
/// told only waits a little longer: one notification stands for all of the next 100 ms, because a server lets committing
/// transactions that notify pass only one by one. The lock guards one value.
final class WakeUps: Sendable {
    static let channel = "ovenbird_jobs"
    private static let interval = Duration.milliseconds(100)
    private let last = Mutex<ContinuousClock.Instant?>(nil)

    func send(through pool: PostgresPool) async {
        let isDue = last.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < Self.interval { return false }
            last = now
            return true
        }
        guard isDue else { return }
        // The job is committed already; a worker that is not told finds it by itself.
        _ = try? await pool.query("SELECT pg_notify(\(Self.channel), '')", timeout: .milliseconds(500))
    }
}
