import Embeddings
import Jobs
import Logging
import Metrics
import MetricsTestKit
import ServiceLifecycle
import Testing

/// A runner with a store, an embedder and a clock that a test holds.
struct Bench: Sendable {
    let store = ScriptedSegmentStore()
    let embedder = ScriptedEmbedder()
    let clock = ManualClock()
    let bell = JobBell()
    let metrics = TestMetrics()
    let runner: JobRunner

    init(_ change: (inout JobRunnerConfiguration) -> Void = { _ in }) {
        var configuration = JobRunnerConfiguration()
        change(&configuration)
        runner = JobRunner(
            configuration: configuration, store: store, embedder: embedder, bell: bell,
            metrics: JobMetrics(factory: metrics), workerName: "test", logger: Self.quiet, clock: clock.runner)
    }

    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs the runner for the time of the body, then stops it gracefully.
    func run<R: Sendable>(_ body: @Sendable (Bench) async throws -> R) async throws -> R {
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [runner], logger: Self.quiet))
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<R, any Error>
            do { result = .success(try await body(self)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try result.get()
        }
    }

    /// Lets time pass until the condition holds, and says so where it never does.
    func reach(
        atMost limit: Duration = .seconds(600), sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool
    ) async {
        let isReached = await clock.run(atMost: limit, until: condition)
        #expect(isReached, sourceLocation: sourceLocation)
    }

    func counter(_ label: String, _ dimensions: [(String, String)] = []) throws -> Int64 {
        try metrics.expectCounter(label, dimensions).totalValue
    }
}
