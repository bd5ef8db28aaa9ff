import Batching
import Embeddings
import Foundation
import Jobs
import Logging
import Postgres
import ServiceLifecycle

/// What a process does for jobs besides receiving them. The runner is the last of the services, so it is the first to
/// stop: segments are given back while the engine and the connections are still there.
struct JobServices {
    let options: JobOptions
    let storage: StorageChoice
    let engine: Engine
    /// The engine's, or what stands before it.
    let embedder: any Embedder
    let bell: JobBell
    let logger: Logger

    /// - Parameter reportsQueue: whether anybody reads the metrics.
    func services(reportsQueue: Bool) throws(CommandFailure) -> [any Service] {
        guard let jobs = storage.jobs, let segments = storage.segments else { return [] }
        let metrics = JobMetrics(factory: engine.registry)
        let housekeeper = JobHousekeeper(
            store: jobs, retention: options.retention, metrics: reportsQueue ? metrics : nil, logger: logger)
        var services: [any Service] = [AfterGate(gate: storage.gate, service: housekeeper)]
        guard options.jobWorkers > 0 else { return services }
        if let listener = try listener() { services.append(AfterGate(gate: storage.gate, service: listener)) }
        let budget = engine.configuration.queueBudget(sequenceLimit: engine.description.maximumSequenceLength)
        let runner = JobRunner(
            configuration: options.configuration(queueBudget: budget), store: segments, embedder: embedder,
            bell: bell, metrics: metrics, workerName: Self.workerName, logger: logger)
        services.append(AfterGate(gate: storage.gate, service: runner))
        return services
    }

    private func listener() throws(CommandFailure) -> NotificationService? {
        guard let url = options.databaseDirectUrl else { return nil }
        do {
            return NotificationService(
                configuration: try PostgresConfiguration(url: url), bell: bell, logger: logger)
        } catch {
            throw .usage("--database-direct-url: \(error)")
        }
    }

    /// Machine and process, for people who ask where a segment is.
    private static var workerName: String {
        let process = ProcessInfo.processInfo
        return "\(process.hostName.prefix(64)):\(process.processIdentifier)"
    }
}

/// Rings the bell for what PostgreSQL notifies of.
private struct NotificationService: Service, CustomStringConvertible {
    let configuration: PostgresConfiguration
    let bell: JobBell
    let logger: Logger

    var description: String { "job notifications" }

    func run() async {
        let listener = PostgresListener(configuration: configuration, channel: "ovenbird_jobs") { event in
            switch event {
            case .connected, .notified: bell.ring()
            case .disconnected(let error):
                logger.warning(
                    "Notifications of jobs are not heard; they are polled for",
                    metadata: ["reason": "\(error.debugDescription)"])
            }
        }
        await cancelWhenGracefulShutdown { await listener.run() }
    }
}

/// A service that begins once the database was found usable.
struct AfterGate: Service, CustomStringConvertible {
    /// Nil where it has been already.
    let gate: DatabaseGate?
    let service: any Service

    var description: String { "\(service)" }

    func run() async throws {
        if let gate {
            await cancelWhenGracefulShutdown { await gate.opened.wait(after: 0) }
            // Told to stop before: then there is nothing to begin.
            guard gate.opened.ringCount > 0 else { return }
        }
        try await service.run()
    }
}
