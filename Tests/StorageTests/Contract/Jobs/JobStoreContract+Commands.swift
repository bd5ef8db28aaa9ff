import Embeddings
import Testing

extension JobClaim {
    /// A job in each state that its sender can see.
    private static func job(in state: JobState, of stores: JobStores) async throws -> JobID {
        switch state {
        case .receiving: return try await stores.draft([try Work.inputs(0..<2)], as: stores.specification())
        case .queued: return try await stores.submit(try Work.inputs(0..<2)).id
        case .running:
            let job = try await stores.submit(try Work.inputs(0..<1), try Work.inputs(1..<2))
            _ = try await stores.claimOne()
            return job.id
        case .paused:
            let job = try await stores.submit(try Work.inputs(0..<2))
            _ = try await stores.jobs.apply(.pause, to: job.id)
            return job.id
        case .completed:
            let job = try await stores.submit(try Work.inputs(0..<2))
            try await stores.workAll()
            return job.id
        case .cancelled:
            let job = try await stores.submit(try Work.inputs(0..<2))
            _ = try await stores.jobs.apply(.cancel, to: job.id)
            return job.id
        case .failed:
            let collection = try await Sample.collection(in: stores.documents)
            let job = try await stores.submit(try Work.inputs(0..<2), collection: collection)
            let segment = try await stores.claimOne()
            let outcomes = Work.outcomes(of: try await stores.segments.load(segment))
            #expect(try await stores.documents.dropCollection(named: collection.name))
            #expect(try await stores.segments.finish(segment, with: outcomes) == .jobFailed)
            return job.id
        }
    }

    /// The state after the command; nil where it is refused.
    private static func state(after command: JobCommand, in state: JobState) -> JobState? {
        switch (command, state) {
        case (.pause, .queued), (.pause, .running), (.pause, .paused): .paused
        case (.resume, .queued), (.resume, .paused): .queued
        case (.resume, .running): .running
        case (.cancel, .queued), (.cancel, .running), (.cancel, .paused), (.cancel, .cancelled): .cancelled
        // With nothing failed there is nothing to do.
        case (.retryFailed, .completed): .completed
        default: nil
        }
    }

    static let commands: [JobClaim] =
        JobCommand.allCases.flatMap { command in
            JobState.allCases.map { state in
                JobClaim("\(command.rawValue) while \(state.rawValue)") { stores in
                    let id = try await job(in: state, of: stores)
                    guard state != .receiving else {
                        #expect(try await stores.jobs.apply(command, to: id) == .unknown)
                        return
                    }
                    let before = try await stores.job(id)
                    #expect(before.state == state)
                    let transition = try await stores.jobs.apply(command, to: id)
                    let after = try await stores.job(id)
                    guard let expected = Self.state(after: command, in: state) else {
                        #expect(transition == .refused(state) && after.settled == before.settled)
                        return
                    }
                    guard case .done(let answered) = transition else { throw ContractBroken("\(transition)") }
                    #expect(answered.settled == after.settled && after.state == expected)
                    #expect((after.endedAt != nil) == expected.hasEnded)
                    if expected == state { #expect(after.settled == before.settled) }
                    // Once more changes nothing.
                    guard case .done(let again) = try await stores.jobs.apply(command, to: id) else {
                        throw ContractBroken("\(command) is not repeatable")
                    }
                    #expect(again.settled == after.settled)
                }
            }
        }
        + JobState.allCases.map { state in
            JobClaim("deletion while \(state.rawValue)") { stores in
                let id = try await job(in: state, of: stores)
                #expect(try await stores.jobs.deleteJob(id) == (state != .receiving))
                #expect(try await stores.jobs.deleteJob(id) == false)
                #expect(try await stores.jobs.job(id) == nil)
                #expect(try await stores.jobs.jobs(JobQuery()).jobs.isEmpty)
                #expect(try await stores.results(id).isEmpty)
                #expect(try await stores.jobs.failures(of: id, after: nil, limit: 9).isEmpty)
                #expect(try await stores.claim(5).isEmpty)
                for command in JobCommand.allCases {
                    #expect(try await stores.jobs.apply(command, to: id) == .unknown)
                }
                _ = try await stores.maintainAll()
                #expect(try await stores.jobs.job(id) == nil)
            }
        } + [
            JobClaim("a job paused in the middle goes on where it was") { stores in
                let job = try await stores.submit(try Work.inputs(0..<1), try Work.inputs(1..<2))
                #expect(try await stores.finish(try await stores.claimOne()) == .finished)
                _ = try await stores.jobs.apply(.pause, to: job.id)
                #expect(try await stores.claim().isEmpty)
                guard case .done(let resumed) = try await stores.jobs.apply(.resume, to: job.id) else {
                    throw ContractBroken("not resumed")
                }
                #expect(resumed.state == .running && resumed.counts == JobCounts(total: 2, succeeded: 1))
                try await stores.workAll()
                #expect(try await stores.job(job.id).state == .completed)
            },
            JobClaim("what was done of a cancelled job stays, and the rest has been cancelled") { stores in
                let job = try await stores.submit(
                    try Work.inputs(0..<1), [try Work.input("1", "poison"), Work.invalid("2")], try Work.inputs(3..<5))
                for segment in try await stores.claim(2) { #expect(try await stores.finish(segment) == .finished) }
                _ = try await stores.jobs.apply(.cancel, to: job.id)
                let results = try await stores.results(job.id)
                #expect(results.map(\.index) == Array(0..<5))
                #expect(results.first == Work.result(0, "text 0"))
                let codes = results.map(\.errorCode)
                #expect(codes == [nil, "poison", "invalid_line", "cancelled", "cancelled"])
                #expect(try await stores.job(job.id).counts == JobCounts(total: 5, succeeded: 1, failed: 2))
            },
            JobClaim("what failed is tried again, and only that") { stores in
                let collection = try await Sample.collection(in: stores.documents)
                for target in [nil, collection] {
                    let job = try await stores.submit(
                        [try Work.input("0", "text 0"), try Work.input("1", "poison 1"), Work.invalid("2")],
                        try Work.inputs(3..<5), [try Work.input("5", "poison 5")], collection: target)
                    try await stores.workAll()
                    let failed = try await stores.job(job.id)
                    #expect(failed.counts.failed == 3 && failed.state == .completed)
                    guard case .done(let retried) = try await stores.jobs.apply(.retryFailed, to: job.id) else {
                        throw ContractBroken("not retried")
                    }
                    #expect(retried.state == .queued && retried.endedAt == nil)
                    #expect(retried.counts.failed == 1 && retried.counts.succeeded == 3)
                    #expect(try await stores.results(job.id).map(\.index) == [0, 2, 3, 4])
                    let failures = try await stores.jobs.failures(of: job.id, after: nil, limit: 9)
                    #expect(failures.map(\.index) == [2])

                    var loaded: [Int] = []
                    for segment in try await stores.claim(9) {
                        #expect(segment.attempt == 1)
                        let inputs = try await stores.segments.load(segment)
                        loaded += inputs.map(\.index)
                        let outcomes = inputs.map {
                            InputOutcome(index: $0.index, kind: .embedded(Work.embedding(of: $0.text)))
                        }
                        #expect(try await stores.segments.finish(segment, with: outcomes) == .finished)
                    }
                    #expect(loaded == [1, 5])
                    let done = try await stores.job(job.id)
                    #expect(done.state == .completed && done.counts.failed == 1 && done.counts.succeeded == 5)
                    #expect(
                        try await stores.results(job.id) == [
                            Work.result(0, "text 0"), Work.result(1, "poison 1"), Work.failed(2, Work.invalidLine),
                            Work.result(3, "text 3"), Work.result(4, "text 4"), Work.result(5, "poison 5"),
                        ])
                    // Nothing is left that another try could help.
                    guard case .done(let same) = try await stores.jobs.apply(.retryFailed, to: job.id) else {
                        throw ContractBroken("refused")
                    }
                    #expect(same.settled == done.settled)
                }
            },
        ]
}
