import Embeddings
import Storage
import Synchronization
import Testing

struct MemoryJobStoreTests {
    @Test(arguments: JobClaim.all)
    func keepsTheContract(claim: JobClaim) async throws {
        try await claim.check(JobStores.inMemory())
    }
}

extension JobStores {
    /// Fresh stores, and a clock that only moves when it is told to.
    static func inMemory() -> JobStores {
        let clock = ManualTime()
        let documents = MemoryDocumentStore()
        let jobs = MemoryJobStore(documents: documents, now: { clock.now })
        return JobStores(
            documents: documents, jobs: jobs, segments: jobs,
            pass: { clock.pass($0) })
    }
}

private final class ManualTime: Sendable {
    private let microseconds = Mutex<Int64>(1_700_000_000_000_000)

    /// Each look is a microsecond later than the one before.
    var now: Timestamp {
        microseconds.withLock { microseconds in
            microseconds += 1
            return Timestamp(microsecondsSinceUnixEpoch: microseconds)
        }
    }

    func pass(_ duration: Duration) {
        let passed = duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
        microseconds.withLock { $0 += passed }
    }
}
