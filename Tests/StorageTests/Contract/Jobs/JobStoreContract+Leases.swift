import Embeddings
import Testing

extension JobClaim {
    static let leases = [
        JobClaim("a segment is finished once") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            for target in [nil, collection] {
                let job = try await stores.submit(try Work.inputs(0..<2), collection: target)
                let segment = try await stores.claimOne()
                let outcomes = Work.outcomes(of: try await stores.segments.load(segment))
                #expect(try await stores.segments.finish(segment, with: outcomes) == .finished)
                let done = try await stores.job(job.id)
                #expect(try await stores.segments.finish(segment, with: outcomes) == .leaseLost)
                #expect(try await stores.job(job.id).settled == done.settled)
                #expect(done.counts == JobCounts(total: 2, succeeded: 2))
            }
        },
        JobClaim("who lost a lease writes nothing") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            for target in [nil, collection] {
                let job = try await stores.submit(
                    [try Work.input("0", "text 0"), try Work.input("1", "poison 1")], collection: target)
                let zombie = try await stores.claimOne()
                let outcomes = Work.outcomes(of: try await stores.segments.load(zombie))
                try await stores.pass(.seconds(31))
                #expect(try await stores.rescue() == RescueReport(rescued: 1))

                // While the segment waits, and while another has it.
                #expect(try await stores.segments.finish(zombie, with: outcomes) == .leaseLost)
                let successor = try await stores.claimOne()
                #expect(successor.lease.segment == zombie.lease.segment)
                #expect(successor.lease.token > zombie.lease.token && successor.attempt == 2)
                #expect(try await stores.segments.finish(zombie, with: outcomes) == .leaseLost)
                #expect(try await stores.segments.extend([zombie.lease], by: .seconds(30)) == [zombie.lease])
                try await stores.segments.giveBack([zombie.lease])
                try await stores.segments.postpone(zombie.lease, for: .seconds(5), because: "a test")
                #expect(try await stores.claim().isEmpty)
                #expect(try await stores.job(job.id).counts == JobCounts(total: 2))
                #expect(try await stores.results(job.id).isEmpty)
                if target != nil { #expect(try await stores.documents.documentCount(in: collection) == 0) }

                #expect(try await stores.finish(successor) == .finished)
                #expect(try await stores.segments.finish(zombie, with: outcomes) == .leaseLost)
                #expect(try await stores.job(job.id).counts == JobCounts(total: 2, succeeded: 1, failed: 1))
                #expect(try await stores.results(job.id).count == 2)
            }
        },
        JobClaim("a lease is prolonged, even when it has expired, until somebody takes it") { stores in
            try await stores.submit(try Work.inputs(0..<1), try Work.inputs(1..<2))
            let leases = try await stores.claim(2, lease: .seconds(10)).map(\.lease)
            try await stores.pass(.seconds(8))
            #expect(try await stores.segments.extend(leases, by: .seconds(10)).isEmpty)
            try await stores.pass(.seconds(8))
            #expect(try await stores.rescue() == RescueReport())
            try await stores.pass(.seconds(60))
            #expect(try await stores.segments.extend([leases[0]], by: .seconds(10)).isEmpty)
            #expect(try await stores.rescue() == RescueReport(rescued: 1))
            #expect(try await stores.segments.extend(leases, by: .seconds(10)) == [leases[1]])
            #expect(try await stores.segments.extend([], by: .seconds(10)).isEmpty)
        },
        JobClaim("a claim repeated under its id leases nothing more, and charges nothing") { stores in
            try await stores.submit(try Work.inputs(0..<1), try Work.inputs(1..<2), try Work.inputs(2..<3))
            let claim = SegmentClaim(
                worker: "worker", fingerprint: Sample.model(fingerprint: 1).fingerprint, maximumCount: 1,
                leaseDuration: .seconds(30), id: "first")
            var other = claim
            other.id = "second"
            let leased = try await stores.segments.claimSegments(claim)
            #expect(try await stores.segments.claimSegments(claim) == leased && leased.first?.attempt == 1)
            let next = try await stores.segments.claimSegments(other)
            #expect(next.count == 1 && next.first?.lease.segment != leased.first?.lease.segment)
            // Once somebody else has it, the claim is as good as new.
            try await stores.pass(.seconds(31))
            #expect(try await stores.rescue().rescued == 2)
            let anew = try await stores.segments.claimSegments(claim)
            #expect(anew.count == 1 && anew.first?.lease.token ?? 0 > next.first?.lease.token ?? 0)
        },
        JobClaim("a lease ends with its job") { stores in
            var segments: [LeasedSegment] = []
            for _ in 0..<3 {
                try await stores.submit(try Work.inputs(0..<2))
                segments.append(try await stores.claimOne())
            }
            let outcomes = Work.outcomes(of: try await stores.segments.load(segments[0]))
            _ = try await stores.jobs.apply(.cancel, to: segments[0].job)
            #expect(try await stores.jobs.deleteJob(segments[1].job))
            #expect(try await stores.finish(segments[2]) == .finished)
            let leases = segments.map(\.lease)
            #expect(try await stores.segments.extend(leases, by: .seconds(30)) == Set(leases))
            #expect(try await stores.segments.finish(segments[0], with: outcomes) == .leaseLost)
            #expect(try await stores.segments.finish(segments[1], with: outcomes) == .leaseLost)
            #expect(try await stores.job(segments[0].job).counts == JobCounts(total: 2))
            #expect(try await stores.results(segments[0].job).map(\.errorCode) == ["cancelled", "cancelled"])
            try await stores.pass(.seconds(60))
            #expect(try await stores.rescue(after: 1).failedInputs == 0)
            #expect(try await stores.job(segments[0].job).counts == JobCounts(total: 2))
            #expect(try await stores.claim(5).isEmpty)
        },
        JobClaim("a segment that is given back waits for the next, and keeps its attempts") { stores in
            try await stores.submit(try Work.inputs(0..<1), try Work.inputs(1..<2))
            for _ in 0..<5 {
                let claimed = try await stores.claim(2)
                #expect(claimed.map(\.attempt) == [1, 1])
                try await stores.segments.giveBack(claimed.map(\.lease))
                #expect(try await stores.finish(claimed[0]) == .leaseLost)
            }
            try await stores.workAll()
            #expect(try await stores.jobs.jobs(JobQuery()).jobs.map(\.state) == [.completed])
        },
        JobClaim("a postponed segment waits, and the attempt stays charged") { stores in
            try await stores.submit(try Work.inputs(0..<1))
            let segment = try await stores.claimOne()
            try await stores.segments.postpone(segment.lease, for: .seconds(60), because: "the model is busy")
            #expect(try await stores.finish(segment) == .leaseLost)
            try await stores.pass(.seconds(50))
            #expect(try await stores.claim().isEmpty)
            try await stores.pass(.seconds(11))
            #expect(try await stores.claimOne().attempt == 2)
        },
    ]
}
