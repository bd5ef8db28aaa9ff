package import Embeddings
package import Logging
import ServiceLifecycle
import Synchronization

/// Works on jobs until it is told to stop: workers claim, compute and finish a segment each, beside one heartbeat for all
/// leases and one look for leases that others let expire.
///
/// `RunnerState` decides under a mutex; this carries out its decisions. A graceful shutdown gives the segments back at
/// once; where the task is cancelled instead, their leases expire.
package final class JobRunner: Service, CustomStringConvertible {
    struct Shared: ~Copyable {
        var state: RunnerState
        /// Rung when a segment's work is for nothing, or the runner stops.
        var interruptions: [SegmentLease: JobBell] = [:]
    }

    let configuration: JobRunnerConfiguration
    let store: any SegmentStore
    let computation: SegmentComputation
    private let fingerprint: ModelFingerprint
    let bell: JobBell
    let metrics: JobMetrics
    private let workerName: String
    let logger: Logger
    let clock: RunnerClock
    let textsUnderWay = TextsUnderWay()
    let shared: Mutex<Shared>
    private let claimIDs: ClaimIDs
    /// Rung when workers are to look at the state again.
    private let stateChanged = JobBell()

    /// - Parameters:
    ///   - bell: whoever rings it makes an idle worker look for work at once; it is rung here, too, when a segment ends.
    ///   - workerName: shown to people who look at a segment.
    package init(
        configuration: JobRunnerConfiguration, store: any SegmentStore, embedder: any Embedder, bell: JobBell,
        metrics: JobMetrics, workerName: String, logger: Logger, clock: RunnerClock = .continuous
    ) {
        precondition(configuration.workerCount > 0)
        self.configuration = configuration
        self.store = store
        self.bell = bell
        self.metrics = metrics
        self.workerName = workerName
        self.logger = logger
        self.clock = clock
        fingerprint = embedder.model.fingerprint
        claimIDs = ClaimIDs(workerName: workerName)
        computation = SegmentComputation(
            embedder: embedder, configuration: configuration, textsUnderWay: textsUnderWay, metrics: metrics,
            clock: clock)
        shared = Mutex(Shared(state: RunnerState(configuration: configuration, now: clock.now())))
    }

    package var description: String { "job runner" }

    package func run() async {
        logger.info("Working on jobs", metadata: ["workers": "\(configuration.workerCount)", "name": "\(workerName)"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.runLoops() }
            // Cancelled: so are the loops.
            try? await gracefulShutdown()
            stop()
            // It throws when it is cancelled, since the loops have ended.
            group.addTask { [clock, configuration] in
                try? await clock.sleep(clock.now().advanced(by: configuration.stopPatience))
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func runLoops() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.listen() }
            group.addTask { await self.heartbeat() }
            group.addTask { await self.rescue() }
            await withTaskGroup(of: Void.self) { workers in
                for _ in 0..<configuration.workerCount { workers.addTask { await self.work() } }
            }
            group.cancelAll()
        }
    }

    func stop() {
        let interruptions = shared.withLock { shared in
            shared.state.stop().compactMap { shared.interruptions[$0] }
        }
        for interruption in interruptions { interruption.ring() }
        stateChanged.ring()
    }

    func tell<R: Sendable>(_ input: (inout RunnerState) -> R) -> R {
        shared.withLock { input(&$0.state) }
    }

    var jitter: Double { Double.random(in: 0...1) }

    // MARK: Loops

    private func listen() async {
        var rings = bell.ringCount
        while !Task.isCancelled {
            await bell.wait(after: rings)
            rings = bell.ringCount
            tell { $0.rang() }
            stateChanged.ring()
        }
    }

    private func work() async {
        while !Task.isCancelled {
            let changes = stateChanged.ringCount
            switch tell({ $0.claimStep(now: clock.now()) }) {
            case .stop: return
            case .wait(let moment): await stateChanged.wait(after: changes, until: moment, clock: clock)
            case .claim: await claim()
            case .gatherAndClaim: if await gather() { await claim() }
            }
        }
    }

    private func heartbeat() async {
        while !Task.isCancelled {
            let changes = stateChanged.ringCount
            switch tell({ $0.heartbeatStep(now: clock.now()) }) {
            case .stop: return
            case .wait(let moment): await stateChanged.wait(after: changes, until: moment, clock: clock)
            case .extend(let leases): await extend(leases)
            }
        }
    }

    private func rescue() async {
        while !Task.isCancelled {
            let changes = stateChanged.ringCount
            switch tell({ $0.rescueStep(jitter: jitter, now: clock.now()) }) {
            case .stop: return
            case .wait(let moment): await stateChanged.wait(after: changes, until: moment, clock: clock)
            case .rescue(let policy): await rescue(policy)
            }
        }
    }

    // MARK: Steps

    /// Answers whether a claim may follow.
    private func gather() async -> Bool {
        do throws(StorageError) {
            let count = try await store.gatherEnqueued(for: fingerprint, limit: configuration.gatherLimit)
            tell { $0.gathered(count, now: clock.now()) }
            return true
        } catch {
            claimFailed(error)
            return false
        }
    }

    private func claim() async {
        let id = claimIDs.next()
        do throws(StorageError) {
            let segments = try await store.claimSegments(
                SegmentClaim(
                    worker: workerName, fingerprint: fingerprint, maximumCount: 1,
                    leaseDuration: configuration.leaseDuration, id: id))
            let interruptions = shared.withLock { shared in
                shared.state.claimed(segments.map(\.lease), jitter: jitter, now: clock.now())
                return segments.map { segment in
                    let interruption = JobBell()
                    shared.interruptions[segment.lease] = interruption
                    // Nobody told it of the stop that came while it was claimed.
                    if shared.state.isStopping { interruption.ring() }
                    return interruption
                }
            }
            stateChanged.ring()
            for (segment, interruption) in zip(segments, interruptions) {
                await process(segment, interruption: interruption)
            }
        } catch {
            // It may have leased a segment of which we know nothing: the next claim asks for it.
            claimIDs.repeatLater(id)
            claimFailed(error)
        }
    }

    private func claimFailed(_ error: StorageError) {
        let isFirst = tell { $0.claimFailed(jitter: jitter, now: clock.now()) }
        stateChanged.ring()
        guard !Task.isCancelled else { return }
        metrics.countRetry(JobMetrics.RetryCause(error))
        switch error {
        case .unavailable, .notWritable:
            if isFirst { logger.warning("Jobs wait for the database", metadata: error.metadata) }
        case .internalFailure, .collectionNotFound:
            logger.error("No job can be claimed", metadata: error.metadata)
        }
    }

    private func extend(_ leases: [SegmentLease]) async {
        do throws(StorageError) {
            let lost = try await store.extend(leases, by: configuration.leaseDuration)
            let interruptions = shared.withLock { shared in
                shared.state.extended(lost: lost, now: clock.now()).compactMap { shared.interruptions[$0] }
            }
            for interruption in interruptions { interruption.ring() }
        } catch {
            tell { $0.extensionFailed(jitter: jitter, now: clock.now()) }
            if !Task.isCancelled { logger.warning("Leases were not prolonged", metadata: error.metadata) }
        }
    }

    private func rescue(_ policy: RescuePolicy) async {
        do throws(StorageError) {
            let report = try await store.rescue(policy)
            tell { $0.rescued(now: clock.now()) }
            metrics.countRescues(report)
            if report != RescueReport() {
                logger.warning(
                    "Expired leases were taken away",
                    metadata: [
                        "rescued": "\(report.rescued)", "split": "\(report.split)", "failed": "\(report.failedInputs)",
                    ])
                bell.ring()
            }
        } catch {
            tell { $0.rescueFailed() }
            if !Task.isCancelled { logger.warning("Expired leases were not looked for", metadata: error.metadata) }
        }
    }
}
