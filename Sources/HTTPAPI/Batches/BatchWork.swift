import Embeddings
import Synchronization

/// One leased batch under work: what its steps share.
final class BatchWork: Sendable {
    /// Why a step did not come to its end. Somebody, perhaps we, takes the batch up again.
    enum Interruption: Error {
        case leaseLost
        case stopping
        case storage(StorageError)
    }

    let configuration: BatchCoordinator.Configuration
    let store: any BatchStore
    let jobs: any JobStore
    let model: ModelDescription
    let leased: LeasedBatch
    private let isStopping: @Sendable () -> Bool
    /// A Mutex: one instant.
    private let extendedAt = Mutex(ContinuousClock.now)

    init(
        configuration: BatchCoordinator.Configuration, store: any BatchStore, jobs: any JobStore,
        model: ModelDescription, leased: LeasedBatch, isStopping: @escaping @Sendable () -> Bool
    ) {
        self.configuration = configuration
        self.store = store
        self.jobs = jobs
        self.model = model
        self.leased = leased
        self.isStopping = isStopping
    }

    var batch: Batch { leased.batch }
    var lease: BatchLease { leased.lease }

    func stored<Result>(
        _ operation: () async throws(StorageError) -> Result
    ) async throws(Interruption) -> Result {
        do throws(StorageError) {
            return try await operation()
        } catch {
            throw .storage(error)
        }
    }

    /// As `stored`, for writes that the lease fences.
    func fenced(_ operation: () async throws(StorageError) -> Bool) async throws(Interruption) {
        guard try await stored(operation) else { throw .leaseLost }
    }

    /// Called between short pieces of work: prolongs the lease in time, and ends the step where the process stops.
    func keepLease() async throws(Interruption) {
        guard !isStopping() else { throw .stopping }
        let now = ContinuousClock.now
        guard extendedAt.withLock({ now - $0 }) > configuration.leaseDuration / 3 else { return }
        try await fenced { () async throws(StorageError) in
            try await store.extend(lease, by: configuration.leaseDuration)
        }
        extendedAt.withLock { $0 = now }
    }
}
