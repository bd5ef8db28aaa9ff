import ArgumentParser
import Batching
import Embeddings
import Jobs
import Logging
import ServiceLifecycle
import UnixSignals

/// `ovenbird worker`: works on jobs beside other processes, without a port.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Works on jobs from the database, beside serve and other workers.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var batching: BatchingOptions
    @OptionGroup var database: DatabaseOptions
    @OptionGroup var jobs: JobOptions
    @OptionGroup var memory: MemoryOptions
    @OptionGroup var log: LogOptions

    mutating func validate() throws {
        switch database.databaseUrl {
        case nil: throw ValidationError("worker needs --database-url")
        case "memory:": throw ValidationError("worker needs a database that others reach, not memory:")
        case .some: break
        }
        if jobs.jobWorkers == 0 { throw ValidationError("--job-workers is 0; it takes 1 to 64") }
    }

    func run() async throws {
        log.bootstrap()
        let logger = Logger(label: "ovenbird")
        let settings = MemorySettings(model: model, batching: batching, database: database, jobs: jobs, server: nil)
        let outline = try ModelFolder.outline(model)
        let fit = try MemoryFit(settings.knobs(outline), given: settings.given, allowance: memory.allowance)
        Allocator.prepare(arenaCount: fit.knobs.computeThreads + 1)
        let storage = try await StorageChoice(
            database, jobConnections: jobs.connectionCount, migrates: false, logger: logger)
        // Nobody but the runner uses it, and the segments in hand bound its queue.
        let engine = try Engine(outline, threads: model.threads, batching: batching)
        if let warning = engine.warning { logger.warning("\(warning)") }
        let pressure = MemoryPressure()
        let gate = MemoryGate(engine.embedder, textLimit: Int.max / 2, pressure: pressure) {
            engine.timeToFree(share: $0)
        }
        var services: [any Service] = [
            EngineService(engine: engine),
            MemoryWatch(
                limit: fit.allowance.byteCount, pressure: pressure,
                isIdle: { engine.embedder.load.admittedTokenCount == 0 }, logger: logger, metrics: engine.registry),
        ]
        if let gate = storage.gate { services.append(gate) }
        services += try JobServices(
            options: jobs, storage: storage, engine: engine, embedder: gate, bell: JobBell(), logger: logger
        ).services(reportsQueue: false)
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(5)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure.failed("the worker ended: \(error)")
        }
        await storage.close()
    }
}
