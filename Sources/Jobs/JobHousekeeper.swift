package import Embeddings
package import Logging
import ServiceLifecycle

/// Drops what nobody needs any more, in small steps, and keeps the gauges of the queue. Steps are idempotent and skip
/// what another process is at, so that every process may keep house.
package struct JobHousekeeper: Service, CustomStringConvertible {
    private let store: any JobStore
    private let retention: JobRetention
    /// Nil where nobody reads metrics.
    private let metrics: JobMetrics?
    private let logger: Logger
    private let clock: RunnerClock

    /// A step's deletions stay small, so a minute's worth of ended jobs is soon gone.
    private static let maintenanceInterval: Duration = .seconds(60)
    /// As often as metrics are scraped by default.
    private static let statusInterval: Duration = .seconds(15)
    /// Between two steps of one round: leaves the database to others half the time.
    private static let pause: Duration = .milliseconds(100)

    package init(
        store: any JobStore, retention: JobRetention, metrics: JobMetrics?, logger: Logger,
        clock: RunnerClock = .continuous
    ) {
        self.store = store
        self.retention = retention
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
    }

    package var description: String { "job housekeeper" }

    package func run() async {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await every(Self.maintenanceInterval) { await maintain() } }
                if let metrics { group.addTask { await every(Self.statusInterval) { await report(to: metrics) } } }
            }
        }
    }

    private func every(_ interval: Duration, _ step: () async -> Void) async {
        while !Task.isCancelled {
            await step()
            let wait = interval * Double.random(in: 0.75...1.25)
            // It throws when it is cancelled, which ends the loop.
            try? await clock.sleep(clock.now().advanced(by: wait))
        }
    }

    private func maintain() async {
        var done = JobMaintenance()
        do throws(StorageError) {
            repeat {
                let step = try await store.maintain(retention)
                done.sweptUploads += step.sweptUploads
                done.droppedJobs += step.droppedJobs
                done.hasMore = step.hasMore
                // It throws when it is cancelled, which ends the loop.
                if done.hasMore { try? await clock.sleep(clock.now().advanced(by: Self.pause)) }
            } while done.hasMore && !Task.isCancelled
        } catch {
            if !Task.isCancelled { log(error) }
        }
        if done.sweptUploads > 0 || done.droppedJobs > 0 {
            logger.info(
                "Old jobs were cleared away",
                metadata: ["uploads": "\(done.sweptUploads)", "jobs": "\(done.droppedJobs)"])
        }
    }

    private func report(to metrics: JobMetrics) async {
        do throws(StorageError) {
            metrics.report(try await store.queueStatus())
        } catch {
            if !Task.isCancelled { log(error) }
        }
    }

    private func log(_ error: StorageError) {
        switch error {
        // The runner and /ready say so.
        case .unavailable, .notWritable: logger.debug("Housekeeping failed", metadata: error.metadata)
        case .internalFailure, .collectionNotFound: logger.error("Housekeeping failed", metadata: error.metadata)
        }
    }
}
