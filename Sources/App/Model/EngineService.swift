import ServiceLifecycle

/// Keeps the compute threads until those who use them have ended.
struct EngineService: Service, CustomStringConvertible {
    let engine: Engine

    var description: String { "engine" }

    func run() async throws {
        try? await gracefulShutdown()  // cancelled: the threads end all the same
        await engine.close()
    }
}
