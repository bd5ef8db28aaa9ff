import Embeddings
import Logging
import Synchronization

extension JobRunner {
    /// Why a segment ends without outcomes of ours in the store.
    private enum Abort: Error {
        /// The lease is lost, or the runner stops.
        case interrupted
        case postponed(Duration, reason: String)
        case abandoned
    }

    func process(_ segment: LeasedSegment, interruption: JobBell) async {
        do throws(Abort) {
            let outcomes = try await outcomes(of: segment, interruption: interruption)
            tell { $0.finishing(segment.lease) }
            try await finish(segment, with: outcomes, interruption: interruption)
            _ = end(segment)
        } catch {
            let lease = end(segment)
            await letGo(segment, lease, because: error)
        }
    }

    private func end(_ segment: LeasedSegment) -> RunnerState.LeaseEnd {
        textsUnderWay.end(segment.lease)
        return shared.withLock { shared in
            shared.interruptions[segment.lease] = nil
            return shared.state.ended(segment.lease)
        }
    }

    private func letGo(_ segment: LeasedSegment, _ lease: RunnerState.LeaseEnd, because abort: Abort) async {
        do throws(StorageError) {
            switch (lease, abort) {
            case (.lost, _):
                metrics.countLeaseLoss()
                logger.warning("A lease was lost", metadata: segment.metadata)
            case (.held, .interrupted): try await store.giveBack([segment.lease])
            case (.held, .postponed(let delay, let reason)):
                try await store.postpone(segment.lease, for: delay, because: reason)
            // The lease expires.
            case (.held, .abandoned): break
            }
        } catch {
            // So does it here.
            logger.warning("A segment was not given back", metadata: segment.metadata.merging(error.metadata) { $1 })
        }
    }

    /// Loads and computes, until the interruption rings.
    private func outcomes(
        of segment: LeasedSegment, interruption: JobBell
    ) async throws(Abort) -> [InputOutcome] {
        textsUnderWay.beginLoading(segment.lease)
        let result = await withTaskGroup(of: Result<[InputOutcome], Abort>.self) { group in
            group.addTask { await self.loadAndCompute(segment, interruption: interruption) }
            group.addTask {
                await interruption.wait(after: 0)
                return .failure(.interrupted)
            }
            let result = await group.next() ?? .failure(.interrupted)
            group.cancelAll()
            return result
        }
        return try result.get()
    }

    private func loadAndCompute(
        _ segment: LeasedSegment, interruption: JobBell
    ) async -> Result<[InputOutcome], Abort> {
        do throws(Abort) {
            let inputs = try await insist(on: segment, interruption) { () async throws(StorageError) in
                try await self.store.load(segment)
            }
            if let outcomes = await computation.outcomes(of: inputs, in: segment) { return .success(outcomes) }
            // Nobody interrupted us, so the embedder has ended, and there is nothing to be done without it.
            if !Task.isCancelled { stop() }
            throw .interrupted
        } catch {
            return .failure(error)
        }
    }

    private func finish(
        _ segment: LeasedSegment, with outcomes: [InputOutcome], interruption: JobBell
    ) async throws(Abort) {
        var isRepeated = false
        let end = try await insist(on: segment, interruption) { () async throws(StorageError) in
            let start = self.clock.now()
            defer { isRepeated = true }
            let end = try await self.store.finish(segment, with: outcomes)
            self.metrics.countStore(start.duration(to: self.clock.now()))
            return (end, isRepeated)
        }
        switch end {
        case (.finished, _):
            metrics.countInputs(outcomes)
            logger.debug("A segment is stored", metadata: segment.metadata)
        case (.leaseLost, false):
            metrics.countLeaseLoss()
            logger.warning("A lease was lost", metadata: segment.metadata)
        case (.leaseLost, true):
            // The first try may have been committed before its answer was lost.
            logger.info("A segment had ended when it was finished again", metadata: segment.metadata)
        case (.jobFailed, _):
            logger.warning("A job failed: its collection is gone", metadata: segment.metadata)
        }
        bell.ring()
    }

    /// Repeats what the database did not take, for as long as the lease is ours.
    private func insist<R: Sendable>(
        on segment: LeasedSegment, _ interruption: JobBell,
        _ operation: () async throws(StorageError) -> R
    ) async throws(Abort) -> R {
        var failures = 0
        while true {
            do throws(StorageError) {
                return try await operation()
            } catch {
                if Task.isCancelled { throw .interrupted }
                failures += 1
                metrics.countRetry(JobMetrics.RetryCause(error))
                let metadata = segment.metadata.merging(error.metadata) { $1 }
                switch tell({ $0.errorStep(error, on: segment, failures: failures, jitter: jitter) }) {
                case .giveUp: throw .interrupted
                case .retry(let delay):
                    if failures == 1 { logger.warning("A segment waits for the database", metadata: metadata) }
                    await interruption.wait(after: 0, until: clock.now().advanced(by: delay), clock: clock)
                case .postpone(let delay):
                    logger.error("A segment is postponed", metadata: metadata)
                    throw .postponed(delay, reason: error.description)
                case .abandon:
                    logger.error("A segment is let go, to be split", metadata: metadata)
                    throw .abandoned
                }
            }
        }
    }
}

extension LeasedSegment {
    fileprivate var metadata: Logger.Metadata {
        ["job": "\(job)", "segment": "\(lease.segment)", "attempt": "\(attempt)", "inputs": "\(inputCount)"]
    }
}
