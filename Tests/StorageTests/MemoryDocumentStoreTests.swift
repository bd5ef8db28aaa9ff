import Storage
import Testing

struct MemoryDocumentStoreTests {
    @Test(arguments: StoreClaim.all)
    func keepsTheContract(claim: StoreClaim) async throws {
        try await claim.check(MemoryDocumentStore())
    }
}
