import Batching
import ServiceLifecycle

/// Looks after the compute threads, and keeps them until those who use them have ended.
struct EngineService: Service, CustomStringConvertible {
    let engine: Engine

    var description: String { "engine" }

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await engine.embedder.supervise() }
            try? await gracefulShutdown()  // cancelled: the threads end all the same
            group.cancelAll()
        }
        await engine.close()
    }
}
