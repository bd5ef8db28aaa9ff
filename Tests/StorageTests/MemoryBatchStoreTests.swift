import Storage
import Testing

struct MemoryBatchStoreTests {
    @Test(arguments: BatchClaim.all)
    func keepsTheContract(claim: BatchClaim) async throws {
        let jobs = MemoryJobStore(documents: MemoryDocumentStore())
        try await claim.check(MemoryBatchStore(jobs: jobs), jobs)
    }
}
