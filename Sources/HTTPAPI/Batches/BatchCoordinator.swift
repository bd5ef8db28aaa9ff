package import Embeddings
package import Logging
import ServiceLifecycle
import Synchronization

/// Takes batches through their lives: validation, the end of their jobs, expiry, cancelling. Any number of processes may
/// run one on the same store; each batch is one's by lease, and who loses it writes nothing more.
package struct BatchCoordinator: Service, CustomStringConvertible {
    package struct Configuration: Sendable {
        /// A new batch rings; the rest is found by looking.
        package var pollInterval = Duration.seconds(1)
        package var leaseDuration = Duration.seconds(30)
        /// Batches that one process works on side by side: a long one does not keep a short one waiting.
        package var maximumConcurrentBatches = 2
        /// As OpenAI's limits.
        package var maximumRequests = 50_000
        package var maximumInputs = 50_000
        /// As `/v1/embeddings` takes in one request.
        package var maximumInputsPerRequest = 2_048
        package var maximumTextBytes = 1 << 20
        /// 2,048 inputs of 4 KiB.
        package var maximumLineBytes = 8 << 20
        /// Values of one line, nested ones included.
        package var maximumValues = 1 << 17
        /// Faults of a file that are told.
        package var maximumErrors = 100
        /// A validation that has taken the process down so often is not begun again.
        package var maximumAttempts = 5
        package var requestsPerAppend = 1_000
        package var inputsPerAppend = 1_024
        package var bytesPerAppend = 1 << 20
        /// Results that are held at a time: 4 MB at 4,096 dimensions.
        package var resultsPerPage = 256
        /// How long a job's results are kept: no file of them is promised for longer.
        package var resultRetention = Duration.seconds(168 * 3_600)
        /// As OpenAI's, for files whose sender asked for nothing else.
        package var fileLifetime = Duration.seconds(30 * 86_400)
        package var abandonedUploads = Duration.seconds(3_600)
        package var maintenanceInterval = Duration.seconds(60)

        package init() {}
    }

    /// Wakes the coordinator: something may be to be done.
    package struct Bell: Sendable {
        fileprivate let sinks: [AsyncStream<Void>.Continuation]

        package func ring() { for sink in sinks { sink.yield() } }
    }

    package let bell: Bell
    private let configuration: Configuration
    private let store: any BatchStore
    private let jobs: any JobStore
    private let model: ModelDescription
    private let onJobCommitted: @Sendable () -> Void
    private let logger: Logger
    private let parser: BodyParser
    /// One for each batch that may be under work.
    private let rings: [AsyncStream<Void>]
    private let isStopping = Flag()

    /// - Parameters:
    ///   - model: the served one; it embeds every batch.
    ///   - onJobCommitted: a runner may look for work.
    package init(
        configuration: Configuration, store: any BatchStore, jobs: any JobStore, model: ModelDescription,
        onJobCommitted: @escaping @Sendable () -> Void = {}, logger: Logger
    ) {
        self.configuration = configuration
        self.store = store
        self.jobs = jobs
        self.model = model
        self.onJobCommitted = onJobCommitted
        self.logger = logger
        parser = BodyParser(maximumValueCount: configuration.maximumValues)
        let streams = (0..<configuration.maximumConcurrentBatches).map { _ in
            AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        }
        rings = streams.map(\.stream)
        bell = Bell(sinks: streams.map(\.continuation))
    }

    package var description: String { "batches" }

    package func run() async throws {
        await withLogger(logger) { _ in
            await withGracefulShutdownHandler {
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await tick() }
                    group.addTask { await maintain() }
                    await withTaskGroup(of: Void.self) { workers in
                        for ring in rings { workers.addTask { for await _ in ring { await drain() } } }
                    }
                    group.cancelAll()
                }
            } onGracefulShutdown: {
                // What is under way is given back at its next pause.
                isStopping.raise()
                for sink in bell.sinks { sink.finish() }
            }
        }
    }

    /// Does what is to be done now, one batch after the other; answers how many there were.
    @discardableResult
    package func drain() async -> Int {
        var count = 0
        while let leased = await claim() {
            await perform(leased)
            count += 1
        }
        return count
    }

    // MARK: - Waiting

    private func tick() async {
        while (try? await Task.sleep(for: configuration.pollInterval)) != nil { bell.ring() }  // cancelled: the end
    }

    private func maintain() async {
        while (try? await Task.sleep(for: configuration.maintenanceInterval)) != nil {  // cancelled: the end
            do throws(StorageError) {
                // Bounded, lest a long backlog keep others from their turn.
                for _ in 0..<1_000 {
                    guard try await store.maintain(abandonedUploads: configuration.abandonedUploads) else { break }
                }
            } catch {
                log(error, "Files were not tidied up")
            }
        }
    }

    // MARK: - Working

    private func claim() async -> LeasedBatch? {
        guard !isStopping.isRaised else { return nil }
        do throws(StorageError) {
            return try await store.claimBatch(for: configuration.leaseDuration)
        } catch {
            log(error, "Batches cannot be looked for")
            return nil
        }
    }

    private func perform(_ leased: LeasedBatch) async {
        let work = BatchWork(
            configuration: configuration, store: store, jobs: jobs, model: model, leased: leased,
            isStopping: { [isStopping] in isStopping.isRaised })
        do throws(BatchWork.Interruption) {
            try await BatchStep(work, parser: parser, onJobCommitted: onJobCommitted).perform()
        } catch {
            await giveBack(leased, after: error)
        }
    }

    private func giveBack(_ leased: LeasedBatch, after interruption: BatchWork.Interruption) async {
        let pause: Duration
        var charge = AttemptCharge.refunded
        switch interruption {
        case .leaseLost: return
        case .stopping: pause = .zero
        case .storage(let error):
            log(error, "A batch has to wait for the store")
            pause = .seconds(2)
            if case .internalFailure = error { charge = .kept }
        }
        do throws(StorageError) {
            _ = try await store.release(leased.lease, pause: pause, charge)
        } catch {
            // The lease runs out then.
            log(error, "A batch could not be given back")
        }
    }

    private func log(_ error: StorageError, _ message: Logger.Message) {
        Logger.current.warning(
            message, metadata: ["error": "\(error)", "details": "\(error.details ?? "")"])
    }
}

/// Raised once, from any thread.
private final class Flag: Sendable {
    private let state = Atomic(false)

    var isRaised: Bool { state.load(ordering: .acquiring) }

    func raise() { state.store(true, ordering: .releasing) }
}
