import Embeddings
import Testing

extension JobClaim {
    static let housekeeping = [
        JobClaim("abandoned uploads are swept away, living ones are not") { stores in
            let abandoned = try await stores.draft([try Work.inputs(0..<3)], as: stores.specification())
            let living = try await stores.draft([try Work.inputs(0..<3)], as: stores.specification())
            try await stores.pass(.seconds(3_000))
            try await stores.jobs.append(try Work.inputs(3..<4), at: 3, to: living)
            #expect(try await stores.maintainAll() == JobMaintenance())
            try await stores.pass(.seconds(1_000))
            #expect(try await stores.maintainAll().sweptUploads == 1)
            #expect(try await stores.maintainAll().sweptUploads == 0)
            await #expect(throws: StorageError.self) { try await stores.jobs.commit(abandoned, hash: nil) }
            guard case .accepted(let job) = try await stores.jobs.commit(living, hash: nil) else {
                throw ContractBroken("not accepted")
            }
            #expect(job.counts.total == 4)
            try await stores.workAll()
            #expect(try await stores.job(job.id).state == .completed)
        },
        JobClaim("inputs and results go when their time is over, and the job stays") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            var ended: [JobID] = []
            for target in [nil, collection] {
                ended.append(
                    try await stores.submit(
                        [try Work.input("0", "text 0"), try Work.input("1", "poison")], collection: target
                    ).id)
            }
            try await stores.workAll()
            try await stores.pass(.seconds(500_000))
            let young = try await stores.submit([try Work.input("2", "text 2")])
            try await stores.workAll()
            let waiting = try await stores.submit(try Work.inputs(3..<4))
            #expect(try await stores.maintainAll() == JobMaintenance())
            try await stores.pass(.seconds(110_000))
            #expect(try await stores.maintainAll().droppedJobs == 2)
            #expect(try await stores.maintainAll() == JobMaintenance())
            for id in ended {
                let job = try await stores.job(id)
                #expect(job.dataDroppedAt != nil && job.state == .completed)
                #expect(job.counts == JobCounts(total: 2, succeeded: 1, failed: 1))
                #expect(try await stores.results(id).isEmpty)
                #expect(try await stores.jobs.failures(of: id, after: nil, limit: 9).isEmpty)
                #expect(try await stores.jobs.apply(.retryFailed, to: id) == .refused(.completed))
            }
            #expect(try await stores.documents.document(id: "0", in: collection)?.text == "text 0")
            #expect(try await stores.job(young.id).dataDroppedAt == nil)
            #expect(try await stores.results(young.id) == [Work.result(0, "text 2", id: "2")])
            // Texts of dropped results are computed again.
            let inputs = [try Work.input("a", "text 0"), try Work.input("b", "text 2")]
            try await stores.submit(inputs)
            #expect(try await stores.claimOne().job == waiting.id)
            let segment = try await stores.claimOne()
            let known = try await stores.segments.load(segment).map(\.known)
            #expect(known == [nil, .stored(Work.embedding(of: "text 2"))])
        },
        JobClaim("the queue says what waits and what runs") { stores in
            #expect(try await stores.jobs.queueStatus().queuedInputs == 0)
            #expect(try await stores.jobs.queueStatus().oldestQueuedAge == .zero)
            let running = try await stores.submit(
                try Work.inputs(0..<3), [Work.invalid("3"), try Work.input("4", "text 4")])
            _ = try await stores.draft([try Work.inputs(0..<100)], as: stores.specification())
            _ = try await stores.claimOne()
            try await stores.pass(.seconds(100))
            try await stores.submit(try Work.inputs(0..<5))
            try await stores.pass(.seconds(50))
            let paused = try await stores.submit(try Work.inputs(0..<50))
            _ = try await stores.jobs.apply(.pause, to: paused.id)
            var status = try await stores.jobs.queueStatus()
            #expect(status.queuedInputs == 6 && status.runningSegments == 1)
            #expect((.seconds(49)...Duration.seconds(55)).contains(status.oldestQueuedAge))
            for (state, count) in status.jobsByState { #expect(count >= 0, "\(state)") }
            #expect(status.jobsByState[.queued] == 1 && status.jobsByState[.running] == 1)
            #expect(status.jobsByState[.paused] == 1 && status.jobsByState[.receiving] == 1)
            #expect((status.jobsByState[.completed] ?? 0) == 0)
            #expect(try await stores.jobs.deleteJob(paused.id))
            _ = try await stores.jobs.apply(.cancel, to: running.id)
            try await stores.workAll()
            status = try await stores.jobs.queueStatus()
            #expect(status.queuedInputs == 0 && status.oldestQueuedAge == .zero)
            #expect((status.jobsByState[.paused] ?? 0) == 0 && status.jobsByState[.cancelled] == 1)
            #expect(status.jobsByState[.completed] == 1)
        },
    ]
}
