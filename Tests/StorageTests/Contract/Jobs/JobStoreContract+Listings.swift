import Embeddings
import Testing

extension JobClaim {
    static let listings = [
        JobClaim("jobs are listed newest first, page by page") { stores in
            var ids: [JobID] = []
            for _ in 0..<5 { ids.append(try await stores.submit(try Work.inputs(0..<1)).id) }
            ids.reverse()
            var page = try await stores.jobs.jobs(JobQuery(limit: 2))
            #expect(page.jobs.map(\.id) == Array(ids[0..<2]) && page.next == ids[1])
            page = try await stores.jobs.jobs(JobQuery(after: page.next, limit: 2))
            #expect(page.jobs.map(\.id) == Array(ids[2..<4]) && page.next == ids[3])
            page = try await stores.jobs.jobs(JobQuery(after: page.next, limit: 2))
            #expect(page.jobs.map(\.id) == [ids[4]] && page.next == nil)
            #expect(try await stores.jobs.jobs(JobQuery(limit: 5)).next == nil)
            #expect(try await stores.jobs.jobs(JobQuery(after: ids[4], limit: 5)) == JobPage(jobs: [], next: nil))
        },
        JobClaim("a listing holds what is asked for") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let plain = try await stores.submit(try Work.inputs(0..<1))
            try await stores.workAll()
            let batch = try await stores.submit([try Work.inputs(0..<1)], as: stores.specification(source: .batch))
            let documents = try await stores.submit(
                [try Work.inputs(0..<1)], as: stores.specification(owner: JobOwner("somebody"), collection: collection))
            _ = try await stores.jobs.apply(.pause, to: documents.id)
            func listed(_ query: JobQuery) async throws -> [JobID] { try await stores.jobs.jobs(query).jobs.map(\.id) }
            #expect(try await listed(JobQuery()) == [documents.id, batch.id, plain.id])
            #expect(try await listed(JobQuery(states: [.completed])) == [plain.id])
            #expect(try await listed(JobQuery(states: [.paused, .queued])) == [documents.id, batch.id])
            #expect(try await listed(JobQuery(states: [.failed])).isEmpty)
            #expect(try await listed(JobQuery(collection: collection.name)) == [documents.id])
            #expect(try await listed(JobQuery(source: .batch)) == [batch.id])
            #expect(try await listed(JobQuery(source: .sql)).isEmpty)
            #expect(
                try await listed(JobQuery(states: Set(JobState.allCases), source: .http, limit: 1)) == [documents.id])
            let listing = try await stores.jobs.jobs(JobQuery(states: [.completed])).jobs
            #expect(listing == [try await stores.job(plain.id).settled])
        },
        JobClaim("results and failures are read page by page, over what has not ended yet") { stores in
            let job = try await stores.submit(
                try Work.inputs(0..<3), [try Work.input("3", "poison"), try Work.input("4", "text 4")],
                try Work.inputs(5..<8), [Work.invalid("8"), try Work.input("9", "text 9")])
            let claimed = try await stores.claim(4)
            #expect(try await stores.finish(claimed[1]) == .finished)
            #expect(try await stores.finish(claimed[2]) == .finished)
            func page(_ after: Int?, _ limit: Int) async throws -> [Int] {
                try await stores.jobs.results(of: job.id, after: after, limit: limit).map(\.index)
            }
            #expect(try await page(nil, 100) == [3, 4, 5, 6, 7, 8])
            #expect(try await page(nil, 2) == [3, 4])
            #expect(try await page(4, 2) == [5, 6])
            #expect(try await page(6, 2) == [7, 8])
            #expect(try await page(8, 2).isEmpty)
            #expect(try await page(99, 2).isEmpty)
            for segment in [claimed[0], claimed[3]] { #expect(try await stores.finish(segment) == .finished) }
            #expect(try await page(nil, 100) == Array(0..<10))
            for start in -1..<10 {
                let expected = (start + 1..<10).prefix(3)
                #expect(try await page(start < 0 ? nil : start, 3) == Array(expected))
            }
            func failures(_ after: Int?, _ limit: Int) async throws -> [Int] {
                try await stores.jobs.failures(of: job.id, after: after, limit: limit).map(\.index)
            }
            #expect(try await failures(nil, 9) == [3, 8])
            #expect(try await failures(nil, 1) == [3])
            #expect(try await failures(3, 1) == [8])
            #expect(try await failures(8, 1).isEmpty)
        },
        JobClaim("of a job that is unknown there is nothing") { stores in
            let unknown = JobID.random()
            let job = try await stores.jobs.job(unknown)
            #expect(job == nil)
            #expect(try await stores.results(unknown).isEmpty)
            #expect(try await stores.jobs.failures(of: unknown, after: nil, limit: 9).isEmpty)
            #expect(try await stores.jobs.deleteJob(unknown) == false)
        },
    ]
}
