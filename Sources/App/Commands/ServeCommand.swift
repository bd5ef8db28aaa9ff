import ArgumentParser
import Batching
import Embeddings
import Foundation
import HTTPAPI
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
    @OptionGroup var server: ServerOptions
    @OptionGroup var database: DatabaseOptions
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
        guard !keys.isEmpty || server.allowAnonymous || isLoopback(host: server.host) else {
            throw CommandFailure.usage(
                "--host \(server.host) can be reached from other machines: set --api-key-file or OVENBIRD_API_KEY, "
                    + "or say --allow-anonymous")
        }
        let storage = try await StorageChoice(database, migrates: migrate, logger: logger)
        let start = ContinuousClock.now
        let engine = try Engine(model: model, batching: batching, maximumInputs: server.maxInputs)
        logger.info(
            "Model loaded",
            metadata: [
                "model": "\(engine.description.name)", "threads": "\(engine.threadCount)",
                "seconds": "\(Double(seconds: ContinuousClock.now - start))",
            ])
        let info = ServerInfo(engine: engine, storage: storage.kind)
        let registry = engine.registry
        let http = HTTPService(
            configuration: server.httpConfiguration(keys: keys), embedder: engine.embedder, store: storage.store,
            info: { info.json }, metricsText: { registry.scrape() }, metrics: registry, logger: logger,
            onListening: { port in
                logger.info("Listening", metadata: ["host": "\(server.host)", "port": "\(port)"])
            })
        // Services stop in the reverse of this order: the server first, then what it uses.
        var services: [any Service] = [EngineService(engine: engine, drainTimeout: .seconds(server.drainTimeout))]
        if let gate = storage.gate { services.append(gate) }
        services.append(http)
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(server.drainTimeout + 2)
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

/// Keeps the compute threads until the server has answered what was admitted.
private struct EngineService: Service, CustomStringConvertible {
    let engine: Engine
    let drainTimeout: Duration

    var description: String { "engine" }

    func run() async throws {
        try? await gracefulShutdown()  // cancelled: the threads end all the same
        await engine.embedder.shutDown(deadline: .now + drainTimeout)
    }
}
