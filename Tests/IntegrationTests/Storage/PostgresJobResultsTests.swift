import Embeddings
import JSON
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresJobResultsTests {
    @Test func everyInputThatEndedHasOneLine() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let job = try await JobSample.job(of: 1_100, in: store)
            #expect(try await store.results(of: job, after: nil, limit: 1_000).isEmpty)
            // Segments begin at 0, 256, 512, 768 and 1,024; the second and the last are left.
            try await JobSample.finish(0..<1, of: job, failing: [3], on: pool)
            try await JobSample.finish(512..<1_000, of: job, on: pool)
            let ended = Array(0..<256) + Array(512..<1_024)
            for limit in [20, 256, 1_000] {
                var found: [JobResult] = []
                while true {
                    let page = try await store.results(of: job, after: found.last?.index, limit: limit)
                    found += page
                    if page.count < limit { break }
                }
                #expect(found.map(\.index) == ended && found.map(\.id) == ended.map(String.init))
                for result in found {
                    switch result.outcome {
                    case .success(let embedding):
                        #expect(result.index != 3 && embedding.tokenCount == 3 && !embedding.isTruncated)
                        #expect(embedding.vector.values == [Float(Float16(result.index)), 1, 0, 0])
                    case .failure(let error):
                        #expect(result.index == 3 && error == ItemError(code: "poison", message: "cannot be read"))
                    }
                }
            }
            #expect(try await store.results(of: job, after: 255, limit: 1).map(\.index) == [512])
            #expect(try await store.results(of: job, after: 10_000, limit: 10).isEmpty)
            #expect(
                try await store.failures(of: job, after: nil, limit: 10) == [
                    JobFailure(index: 3, id: "3", error: ItemError(code: "poison", message: "cannot be read"))
                ])
            // Once it is cancelled, there is no input without an end.
            guard case .done(let cancelled) = try await store.apply(.cancel, to: job) else {
                throw ContractBroken("not cancelled")
            }
            #expect(cancelled.counts == JobCounts(total: 1_100, succeeded: 767, failed: 1))
            let all = try await store.results(of: job, after: nil, limit: 2_000)
            #expect(all.map(\.index) == Array(0..<1_100))
            let open = all.filter {
                if case .failure(let error) = $0.outcome { error.code == "cancelled" } else { false }
            }
            #expect(open.map(\.index) == Array(256..<512) + Array(1_024..<1_100))
        }
    }

    @Test func aResultMayReferToAnother() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let job = try await JobSample.job(of: 3, in: store)
            try await JobSample.finish(of: job, on: pool)
            _ = try await pool.query(
                "UPDATE ovenbird.job_results SET embedding = NULL, same_as = 0, token_count = 9 WHERE seq = 2")
            let embedding = try await store.results(of: job, after: 1, limit: 10).first?.outcome.get()
            #expect(embedding?.vector.values == [0, 1, 0, 0] && embedding?.tokenCount == 9)
        }
    }

    @Test func aCollectionsJobShowsWhatTheCollectionHolds() async throws {
        try await TestDatabase.withJobStore { store, documents, pool in
            let collection = try await Sample.collection(in: documents)
            let specification = JobSample.specification(collection: collection)
            let job = try await store.beginJob(specification)
            let inputs = ["a": "text a", "b": "text b", "c": "text c", "d": "text d"].sorted { $0.key < $1.key }
            try await store.append(inputs.map { JobSample.input($0.key, $0.value) }, at: 0, to: job)
            _ = try await store.commit(job, hash: nil)
            _ = try await documents.write(
                [
                    try Sample.write("a", "text a", vector: [1, 2, 3, 4]), try Sample.write("b", "a later text"),
                    try Sample.write("c", "text c"),
                ], to: collection)
            try await JobSample.finish(of: job, failing: [2], on: pool)
            func outcomes() async throws -> [String] {
                try await store.results(of: job, after: nil, limit: 10).map { result in
                    switch result.outcome {
                    case .success(let embedding): "\(embedding.vector.values.map { Int($0) }) \(embedding.tokenCount)"
                    case .failure(let error): error.code
                    }
                }
            }
            #expect(try await outcomes() == ["[1, 2, 3, 4] 3", "superseded", "poison", "superseded"])
            _ = try await documents.dropCollection(named: collection.name)
            #expect(try await outcomes() == ["superseded", "superseded", "poison", "superseded"])
            await #expect(throws: StorageError.collectionNotFound(collection.name)) {
                try await store.beginJob(specification)
            }
        }
    }

    /// A page of a job that was just loaded, before and after the planner has looked at the tables.
    @Test func aPageCostsItsRows() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let count = 60_000
            let job = try await JobSample.job(of: count, in: store)
            // The tables hold another job too, of which nothing is done.
            _ = try await JobSample.job(of: 20_000, in: store)
            try await JobSample.finish(0..<count - 2_000, of: job, on: pool)
            let id: Int64 = try await pool.value("SELECT id FROM ovenbird.jobs WHERE public_id = \(job.description)")
            for isAnalyzed in [false, true] {
                if isAnalyzed { _ = try await pool.query("ANALYZE", timeout: .seconds(60)) }
                for after in [nil, 20_000, count - 3_000, count - 1_500] {
                    let statement = PostgresJobStore.resultsStatement(of: id, in: .job, after: after, limit: 1_000)
                    // The job's segments, the inputs of up to five of them, and a result for each row.
                    let plan = try await ExecutedPlan(of: statement, on: pool)
                    #expect(plan.touchedRowCount < 4_000, "\(plan.json)")
                }
            }
            #expect(
                try await store.results(of: job, after: 20_000, limit: 1_000).map(\.index) == Array(20_001...21_000))
        }
    }
}
