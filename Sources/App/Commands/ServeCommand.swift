import ArgumentParser
import Batching
import Embeddings
import Foundation
import HTTPAPI
import Jobs
import Logging
import ServiceLifecycle
import Storage
import UnixSignals

/// `ovenbird serve`: the HTTP server.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serves embeddings, collections and search over HTTP.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var batching: BatchingOptions
    @OptionGroup var serving: ServingOptions
    @OptionGroup var server: ServerOptions
    @OptionGroup var database: DatabaseOptions
    @OptionGroup var jobs: JobOptions
    @OptionGroup var batches: BatchOptions
    @OptionGroup var memory: MemoryOptions
    @OptionGroup var log: LogOptions

    @Flag(help: "Bring the database's schema up to date before serving.")
    var migrate = false

    mutating func validate() throws {
        if migrate, database.databaseUrl == nil { throw ValidationError("--migrate needs --database-url") }
    }

    func run() async throws {
        log.bootstrap()
        let logger = Logger(label: "ovenbird")
        let keys = try APIKeys.load(file: server.apiKeyFile, environment: ProcessInfo.processInfo.environment)
        guard !keys.isEmpty || server.allowAnonymous || HTTPConfiguration.isLoopback(host: server.host) else {
            throw CommandFailure.usage(
                "--host \(server.host) can be reached from other machines: set --api-key-file or OVENBIRD_API_KEY, "
                    + "or say --allow-anonymous")
        }
        // Before anything large is read: settings that cannot fit end the start here.
        let settings = MemorySettings(
            model: model, batching: batching, database: database, jobs: jobs, server: (server, serving))
        try settings.check()
        let outline = try ModelFolder.outline(model)
        let knobs = settings.knobs(outline)
        let fit = try MemoryFit(knobs, given: settings.given, allowance: memory.allowance)
        for setting in fit.lowered {
            logger.notice(
                "A setting was lowered to what memory there is",
                metadata: [
                    "setting": "\(setting.rawValue)", "from": "\(knobs.value(of: setting) ?? 0)",
                    "to": "\(fit.knobs.value(of: setting) ?? 0)", "limit_bytes": "\(fit.allowance.byteCount)",
                ])
        }
        let limits = fit.knobs.server ?? server.memoryKnobs
        Allocator.prepare(arenaCount: fit.knobs.computeThreads + 1)
        let storage = try await StorageChoice(
            database, jobConnections: jobs.connectionCount, migrates: migrate, logger: logger)
        let start = ContinuousClock.now
        let engine = try Engine(
            outline, threads: model.threads, batching: batching, servedNames: serving.servedModelName,
            admission: Admission(
                maximumInputs: limits.inputs, maximumQueuedTokens: fit.knobs.queuedTokens,
                maximumQueueWait: .seconds(serving.maxQueueWait)))
        Allocator.trim()
        if let warning = engine.warning { logger.warning("\(warning)") }
        logger.info(
            "Model loaded",
            metadata: [
                "model": "\(engine.description.name)", "precision": "\(engine.description.precision.rawValue)",
                "threads": "\(engine.threadCount)",
                "seconds": "\(Double(seconds: ContinuousClock.now - start))",
            ])
        let pressure = MemoryPressure()
        let door = MemoryGate(engine.embedder, textLimit: fit.knobs.queuedTexts, pressure: pressure) {
            engine.timeToFree(share: $0)
        }
        let info = ServerInfo(engine: engine, storage: storage.kind, memory: fit)
        let registry = engine.registry
        let bell = JobBell()
        var httpConfiguration = server.httpConfiguration(keys: keys, limits: limits)
        httpConfiguration.jobRetention = jobs.retention.endedJobs
        httpConfiguration.maxFileBytes = batches.maxFileBytes
        let coordinator = storage.batches.map { store in
            BatchCoordinator(
                configuration: batches.coordinatorConfiguration(
                    http: httpConfiguration, retention: jobs.retention.endedJobs),
                store: store.batches, jobs: store.jobs, model: engine.description,
                onJobCommitted: { bell.ring() }, logger: logger)
        }
        let activity: @Sendable (_ after: UInt64) -> BatchingActivity = { engine.embedder.activity(after: $0) }
        let http = HTTPService(
            configuration: httpConfiguration, embedder: door, store: storage.store, jobs: storage.jobs,
            batches: storage.batches?.batches, onBatchCreated: { coordinator?.bell.ring() },
            onJobCommitted: { bell.ring() }, countTokens: engine.countTokens,
            tokensPerSecond: { engine.measuredTokensPerSecond },
            activity: server.noDashboard ? nil : activity, isMemoryShort: { pressure.isHigh }, info: { info.json },
            metricsText: { engine.scrape() }, metrics: registry, logger: logger,
            onListening: { port in
                logger.info("Listening", metadata: ["host": "\(server.host)", "port": "\(port)"])
            })
        // Services stop in the reverse of this order: those of jobs at once, then the server, then what it uses.
        var services: [any Service] = [
            EngineService(engine: engine),
            MemoryWatch(
                limit: fit.allowance.byteCount, pressure: pressure,
                isIdle: { engine.embedder.load.admittedTokenCount == 0 }, logger: logger, metrics: registry),
        ]
        if let gate = storage.gate { services.append(gate) }
        services.append(
            ServingService(http: http, engine: engine, drainTimeout: .seconds(server.drainTimeout), logger: logger))
        services += try JobServices(
            options: jobs, storage: storage, engine: engine, embedder: door, bell: bell, logger: logger
        ).services(reportsQueue: true)
        if let coordinator { services.append(AfterGate(gate: storage.gate, service: coordinator)) }
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        // Behind the drain's own end, for answers that say so to be taken.
        configuration.maximumGracefulShutdownDuration = .seconds(server.drainTimeout) + .seconds(3)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure.failed("the server ended: \(error)")
        }
        await storage.close()
    }
}

/// The server, and what ends its work when a shutdown has lasted long enough: from then on the embedder answers what is
/// left, and what comes, with `.shuttingDown`.
private struct ServingService: Service, CustomStringConvertible {
    let http: HTTPService
    let engine: Engine
    let drainTimeout: Duration
    let logger: Logger

    var description: String { http.description }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // Both are cancelled once the server has ended: then nothing is left.
                do {
                    try await gracefulShutdown()
                    try await Task.sleep(for: drainTimeout)
                } catch { return }
                let finishedAll = await engine.embedder.shutDown(deadline: .now)
                if !finishedAll { logger.warning("The drain timeout is over; unfinished requests are refused") }
            }
            try await http.run()
            group.cancelAll()
        }
    }
}
