import Embeddings
import Testing

extension JobClaim {
    static let submissions = [
        JobClaim("a job is seen by nobody until it is committed") { stores in
            let id = try await stores.draft([try Work.inputs(0..<3)], as: stores.specification())
            #expect(try await stores.jobs.job(id) == nil)
            #expect(try await stores.jobs.jobs(JobQuery()).jobs.isEmpty)
            #expect(try await stores.jobs.jobs(JobQuery(states: [.receiving])).jobs.isEmpty)
            #expect(try await stores.claim(5).isEmpty)
            #expect(try await stores.results(id).isEmpty)
            for command in JobCommand.allCases {
                #expect(try await stores.jobs.apply(command, to: id) == .unknown)
            }
            #expect(try await stores.jobs.deleteJob(id) == false)

            guard case .accepted(let job) = try await stores.jobs.commit(id, hash: nil) else {
                throw ContractBroken("not accepted")
            }
            #expect(job.id == id && job.state == .queued && job.counts == JobCounts(total: 3))
            #expect(job.startedAt == nil && job.endedAt == nil && job.tokenCount == 0)
            #expect(job.owner == JobStores.owner && job.modelName == "model" && job.dimensions == 4)
            #expect(try await stores.job(id) == job)
            #expect(try await stores.claim().first?.inputCount == 3)
        },
        JobClaim("a repeated append changes nothing") { stores in
            let id = try await stores.jobs.beginJob(stores.specification())
            for _ in 0..<2 { try await stores.jobs.append(try Work.inputs(0..<2), at: 0, to: id) }
            for _ in 0..<2 { try await stores.jobs.append(try Work.inputs(2..<5), at: 2, to: id) }
            try await stores.jobs.append(try Work.inputs(0..<2), at: 0, to: id)
            _ = try await stores.jobs.commit(id, hash: nil)
            try await stores.workAll()
            #expect(try await stores.job(id).counts == JobCounts(total: 5, succeeded: 5))
            #expect(try await stores.results(id) == (0..<5).map { Work.result($0, "text \($0)") })
        },
        JobClaim("an append that would leave a gap is refused") { stores in
            let id = try await stores.jobs.beginJob(stores.specification())
            await #expect(throws: StorageError.self) {
                try await stores.jobs.append(try Work.inputs(2..<5), at: 2, to: id)
            }
            await #expect(throws: StorageError.self) {
                let other = try #require(JobID("job_000000000000000000000000"))
                try await stores.jobs.append(try Work.inputs(0..<1), at: 0, to: other)
            }
        },
        JobClaim("a repeated commit answers the same job") { stores in
            let id = try await stores.draft([try Work.inputs(0..<2)], as: stores.specification())
            let first = try await stores.jobs.commit(id, hash: nil)
            #expect(try await stores.jobs.commit(id, hash: nil) == first)
            await #expect(throws: StorageError.self) {
                try await stores.jobs.append(try Work.inputs(2..<3), at: 2, to: id)
            }
            #expect(try await stores.jobs.jobs(JobQuery()).jobs.count == 1)
        },
        JobClaim("lines without a text have failed from the start, and the others are done") { stores in
            let inputs = [
                try Work.input("a", "text a"), Work.invalid("b"), try Work.input("c", "text c"), Work.invalid("3"),
            ]
            let job = try await stores.submit(inputs, [Work.invalid("4")])
            #expect(job.state == .queued && job.counts == JobCounts(total: 5, failed: 3))
            let failed = [
                Work.failed(1, Work.invalidLine, id: "b"), Work.failed(3, Work.invalidLine),
                Work.failed(4, Work.invalidLine),
            ]
            #expect(try await stores.results(job.id) == failed)
            let failures = try await stores.jobs.failures(of: job.id, after: nil, limit: 10)
            #expect(failures.map(\.index) == [1, 3, 4] && failures.map(\.id) == ["b", "3", "4"])
            #expect(failures.allSatisfy { $0.error == Work.invalidLine })

            let segment = try await stores.claimOne()
            #expect(try await stores.segments.load(segment).map(\.index) == [0, 2])
            #expect(try await stores.finish(segment) == .finished)
            let done = try await stores.job(job.id)
            #expect(done.state == .completed && done.counts == JobCounts(total: 5, succeeded: 2, failed: 3))
            #expect(
                try await stores.results(job.id) == [
                    Work.result(0, "text a", id: "a"), failed[0], Work.result(2, "text c", id: "c"), failed[1],
                    failed[2],
                ])
        },
        JobClaim("a job without any text is completed at once") { stores in
            let job = try await stores.submit([Work.invalid("0"), Work.invalid("1")])
            #expect(job.state == .completed && job.endedAt != nil && job.counts == JobCounts(total: 2, failed: 2))
            #expect(try await stores.claim().isEmpty)
        },
        JobClaim("many inputs are parted into segments of bounded size") { stores in
            let long = String(repeating: "x", count: 300 << 10)
            let inputs = try Work.inputs(0..<600) + [Work.input("a", long + "a"), Work.input("b", long + "b")]
            let job = try await stores.submit(inputs)
            let claimed = try await stores.claim(100)
            #expect(claimed.map(\.inputCount).reduce(0, +) == 602)
            var indexes: [Int] = []
            for segment in claimed {
                let loaded = try await stores.segments.load(segment)
                #expect(loaded.count == segment.inputCount && loaded.count <= 256)
                #expect(loaded.count == 1 || loaded.reduce(0) { $0 + $1.text.utf8.count } <= 512 << 10)
                indexes += loaded.map(\.index)
            }
            #expect(indexes == Array(0..<602))
            for segment in claimed { #expect(try await stores.finish(segment) == .finished) }
            #expect(try await stores.job(job.id).state == .completed)
        },
        JobClaim("a dropped draft is gone, and a committed job is not dropped") { stores in
            let draft = try await stores.draft([try Work.inputs(0..<2)], as: stores.specification())
            try await stores.jobs.discard(draft)
            await #expect(throws: StorageError.self) { try await stores.jobs.commit(draft, hash: nil) }
            await #expect(throws: StorageError.self) {
                try await stores.jobs.append(try Work.inputs(2..<3), at: 2, to: draft)
            }
            let job = try await stores.submit(try Work.inputs(0..<2))
            try await stores.jobs.discard(job.id)
            #expect(try await stores.job(job.id) == job)
        },
        JobClaim("a job for a collection that is gone is refused") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            #expect(try await stores.documents.dropCollection(named: collection.name))
            await #expect(throws: StorageError.collectionNotFound(collection.name)) {
                try await stores.jobs.beginJob(stores.specification(collection: collection))
            }
        },
        JobClaim("one idempotency key names one submission") { stores in
            let hash = RequestHash(bytes: Array(repeating: 1, count: 32))
            let other = RequestHash(bytes: Array(repeating: 2, count: 32))
            let keyed = stores.specification(key: "kéy")
            #expect(try await stores.jobs.submission(of: JobStores.owner, key: "kéy") == nil)
            let first = try await stores.draft([try Work.inputs(0..<2)], as: keyed)
            let second = try await stores.draft([try Work.inputs(0..<2)], as: keyed)
            let third = try await stores.draft([try Work.inputs(0..<3)], as: keyed)
            #expect(try await stores.jobs.submission(of: JobStores.owner, key: "kéy") == nil)

            let submission = try await stores.jobs.commit(second, hash: hash)
            guard case .accepted(let job) = submission else { throw ContractBroken("\(submission)") }
            #expect(try await stores.jobs.commit(second, hash: hash) == submission)
            // A lost answer is asked for again.
            for _ in 0..<2 { #expect(try await stores.jobs.commit(first, hash: hash) == .replayed(job)) }
            #expect(try await stores.jobs.commit(third, hash: other) == .conflict(job.id))
            #expect(try await stores.jobs.jobs(JobQuery()).jobs == [job])
            let named = try #require(try await stores.jobs.submission(of: JobStores.owner, key: "kéy"))
            #expect(named.job == job && named.hash == hash)

            // Another owner's key, or the same with another é, is another key.
            for stranger in [
                stores.specification(owner: JobOwner("stranger"), key: "kéy"), stores.specification(key: "ke\u{301}y"),
            ] {
                #expect(try await stores.submit([try Work.inputs(0..<2)], as: stranger).id != job.id)
            }
            #expect(try await stores.jobs.deleteJob(job.id))
            #expect(try await stores.jobs.submission(of: JobStores.owner, key: "kéy") == nil)
            #expect(try await stores.submit([try Work.inputs(0..<2)], as: keyed).state == .queued)
        },
        JobClaim("of concurrent submissions under one key one is accepted") { stores in
            let hash = RequestHash(bytes: Array(repeating: 1, count: 32))
            let keyed = stores.specification(key: "key")
            let answers = try await withThrowingTaskGroup(of: JobSubmission.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let id = try await stores.draft([try Work.inputs(0..<2)], as: keyed)
                        return try await stores.jobs.commit(id, hash: hash)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let jobs = try await stores.jobs.jobs(JobQuery()).jobs
            #expect(jobs.count == 1)
            #expect(answers.count { if case .accepted = $0 { true } else { false } } == 1)
            for answer in answers {
                guard case .accepted(let job) = answer else {
                    guard case .replayed(let job) = answer else { throw ContractBroken("\(answer)") }
                    #expect(job == jobs.first)
                    continue
                }
                #expect(job == jobs.first)
            }
            try await stores.workAll()
            #expect(try await stores.jobs.jobs(JobQuery()).jobs.first?.counts == JobCounts(total: 2, succeeded: 2))
        },
    ]
}
