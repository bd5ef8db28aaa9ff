import Embeddings
import Testing

extension JobClaim {
    static let claiming = [
        JobClaim("a job's segments are leased in order, each once") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let job = try await stores.submit(
                [try Work.inputs(0..<3), try Work.inputs(3..<5), try Work.inputs(5..<6)],
                as: stores.specification(collection: collection))
            let first = try await stores.claimOne()
            #expect(first.job == job.id && first.collection == collection)
            #expect(first.attempt == 1 && first.inputCount == 3)
            let running = try await stores.job(job.id)
            #expect(running.state == .running && running.startedAt != nil)
            let rest = try await stores.claim(5)
            #expect(rest.map(\.inputCount) == [2, 1])
            #expect(Set([first.lease.token] + rest.map(\.lease.token)).count == 3)
            #expect(try await stores.claim(5).isEmpty)
            #expect(try await stores.segments.load(first).map(\.index) == [0, 1, 2])
            #expect(try await stores.segments.load(first).map(\.text) == ["text 0", "text 1", "text 2"])
            #expect(try await stores.segments.load(first).map(\.id) == ["0", "1", "2"])
        },
        JobClaim("of one owner the higher priority goes first, of equal ones the older job") { stores in
            var jobs: [JobID] = []
            for priority in [0, -5, 7, 7, 0] {
                jobs.append(
                    try await stores.submit(
                        [try Work.inputs(0..<1), try Work.inputs(1..<2)], as: stores.specification(priority: priority)
                    ).id)
            }
            var order: [JobID] = []
            while let segment = try await stores.claim().first { order.append(segment.job) }
            #expect(order == [2, 2, 3, 3, 0, 0, 4, 4, 1, 1].map { jobs[$0] })
        },
        JobClaim("owners are served alike, whatever they submit and however urgent it is to them") { stores in
            let owners = ["one", "two", "three"].map { JobOwner($0) }
            for (place, owner) in owners.enumerated() {
                let chunks = try (0..<(place == 0 ? 20 : 6)).map { try Work.inputs($0..<$0 + 1) }
                for _ in 0..<(place == 1 ? 4 : 1) {
                    try await stores.submit(
                        chunks, as: stores.specification(owner: owner, priority: place == 0 ? 100 : 0))
                }
            }
            var served: [JobOwner: Int] = [:]
            for _ in 0..<12 {
                let segment = try await stores.claimOne()
                served[try await stores.job(segment.job).owner, default: 0] += 1
            }
            for owner in owners { #expect((3...5).contains(served[owner] ?? 0), "\(served)") }
        },
        JobClaim("fairness is measured in text, not in segments") { stores in
            let long = String(repeating: "x", count: 9_000)
            let heavy = JobOwner("heavy")
            let light = JobOwner("light")
            try await stores.submit(
                try (0..<20).map { [try Work.input("\($0)", long + "\($0)")] }, as: stores.specification(owner: heavy))
            try await stores.submit(
                try (0..<20).map { [try Work.input("\($0)", String(long.prefix(3_000)) + "\($0)")] },
                as: stores.specification(owner: light))
            var served: [JobOwner: Int] = [:]
            for _ in 0..<12 {
                let segment = try await stores.claimOne()
                served[try await stores.job(segment.job).owner, default: 0] += 1
            }
            #expect((2...4).contains(served[heavy] ?? 0), "\(served)")
        },
        JobClaim("jobs that are paused, cancelled, deleted or another model's are passed by") { stores in
            var jobs: [Job] = []
            for _ in 0..<4 { jobs.append(try await stores.submit(try Work.inputs(0..<1))) }
            try await stores.submit([try Work.inputs(0..<1)], as: stores.specification(fingerprint: 9))
            _ = try await stores.jobs.apply(.pause, to: jobs[0].id)
            _ = try await stores.jobs.apply(.cancel, to: jobs[1].id)
            #expect(try await stores.jobs.deleteJob(jobs[2].id))
            #expect(try await stores.claim(10).map(\.job) == [jobs[3].id])
            _ = try await stores.jobs.apply(.resume, to: jobs[0].id)
            #expect(try await stores.claim(10).map(\.job) == [jobs[0].id])
            #expect(try await stores.claim(10, fingerprint: 9).count == 1)
        },
        JobClaim("sixteen workers at once never hold the same segment") { stores in
            for _ in 0..<3 {
                try await stores.submit(try (0..<16).map { try Work.inputs($0..<$0 + 1) }, as: stores.specification())
            }
            let claimed = try await withThrowingTaskGroup(of: [LeasedSegment].self) { group in
                for worker in 0..<16 {
                    group.addTask {
                        var held: [LeasedSegment] = []
                        // Whoever skips what others hold at this moment may find nothing, and asks again.
                        var fruitless = 0
                        while fruitless < 3 {
                            let some = try await stores.claim(worker % 4 + 1)
                            fruitless = some.isEmpty ? fruitless + 1 : 0
                            held += some
                        }
                        return held
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.count == 48)
            #expect(Set(claimed.map(\.lease.segment)).count == 48)
            #expect(Set(claimed.map(\.lease.token)).count == 48)
            #expect(claimed.allSatisfy { $0.attempt == 1 })
        },
    ]
}
