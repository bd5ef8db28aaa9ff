import Embeddings
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresBatchStoreTests {
    @Test(arguments: BatchClaim.all)
    func keepsTheContract(claim: BatchClaim) async throws {
        try await TestDatabase.withJobStore { jobs, _, pool in
            try await claim.check(PostgresBatchStore(pool: pool), jobs)
        }
    }

    @Test func whatIsDroppedLeavesNoRows() async throws {
        try await TestDatabase.withStore { _, pool in
            let store = PostgresBatchStore(pool: pool)
            for step in 0..<3 {
                let id = try await store.beginFile(named: "x")
                for chunk in 0..<5 { try await store.append([UInt8](repeating: 1, count: 1_000), as: chunk, to: id) }
                switch step {
                case 0: try await store.discardFile(id)
                case 1:
                    _ = try await store.completeFile(id, lifetime: .zero)
                    while try await store.maintain(abandonedUploads: .seconds(60)) {}
                default:
                    _ = try await store.completeFile(id, lifetime: .seconds(60))
                    #expect(try await store.deleteFile(id) == .deleted)
                }
                #expect(try await pool.value("SELECT count(*) FROM ovenbird.file_chunks") == 0)
                #expect(try await pool.value("SELECT count(*) FROM ovenbird.files") == 0)
            }
        }
    }

    /// Twelve workers and as many batches: each is somebody's, none is two's.
    @Test func claimsSideBySideNeverShareABatch() async throws {
        try await TestDatabase.withStore { _, pool in
            let store = PostgresBatchStore(pool: pool)
            let file = try await store.beginFile(named: "x")
            try await store.append([1], as: 0, to: file)
            _ = try await store.completeFile(file, lifetime: .seconds(60))
            for _ in 0..<12 { _ = try await store.createBatch(BatchSpecification(inputFile: file, owner: .anonymous)) }
            let leases: [BatchLease] = try await withThrowingTaskGroup(of: LeasedBatch?.self) { group in
                for _ in 0..<24 { group.addTask { try await store.claimBatch(for: .seconds(60)) } }
                return try await group.reduce(into: [BatchLease]()) { if let leased = $1 { $0.append(leased.lease) } }
            }
            #expect(Set(leases.map(\.batch)).count == leases.count && Set(leases.map(\.token)).count == leases.count)
            var rest = 0
            while try await store.claimBatch(for: .seconds(60)) != nil { rest += 1 }
            #expect(leases.count + rest == 12)
        }
    }
}
