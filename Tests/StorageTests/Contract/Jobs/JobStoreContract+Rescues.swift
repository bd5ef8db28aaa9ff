import Embeddings
import Testing

extension JobClaim {
    static let rescues = [
        JobClaim("a server that has just started takes no lease away") { stores in
            try await stores.submit(try Work.inputs(0..<1))
            _ = try await stores.claimOne()
            try await stores.pass(.seconds(60))
            let young = RescuePolicy(
                maximumAttempts: 1, backoff: .zero ... .zero, minimumServerAge: .seconds(100 * 365 * 86_400))
            #expect(try await stores.segments.rescue(young) == RescueReport())
            #expect(try await stores.claim().isEmpty)
        },
        JobClaim("a rescued segment rests, longer after each attempt") { stores in
            try await stores.submit(try Work.inputs(0..<2))
            let backoff = Duration.seconds(100)...Duration.seconds(350)
            // Drawn around 100, 200 and 400 s, never outside the bounds.
            for longest in [150, 300, 350] {
                let segment = try await stores.claimOne()
                try await stores.pass(.seconds(31))
                #expect(try await stores.rescue(after: 10, backoff: backoff) == RescueReport(rescued: 1))
                try await stores.pass(.seconds(95))
                #expect(try await stores.claim().isEmpty)
                #expect(try await stores.finish(segment) == .leaseLost)
                try await stores.pass(.seconds(longest - 94))
            }
            #expect(try await stores.claimOne().attempt == 4)
        },
        JobClaim("a segment that nobody survives is halved down to the one input") { stores in
            let job = try await stores.submit(try Work.inputs(0..<7))
            var attempts = 0
            var report = RescueReport()
            // Whoever takes input 2 is lost.
            while true {
                let claimed = try await stores.claim(10)
                if claimed.isEmpty { break }
                var isLost = false
                for segment in claimed {
                    if try await stores.segments.load(segment).contains(where: { $0.index == 2 }) {
                        attempts += 1
                        isLost = true
                        #expect(segment.attempt <= 2)
                    } else {
                        #expect(try await stores.finish(segment) == .finished)
                    }
                }
                guard isLost else { break }
                #expect(try await stores.job(job.id).state == .running)
                try await stores.pass(.seconds(31))
                let step = try await stores.rescue(after: 2)
                report.rescued += step.rescued
                report.split += step.split
                report.failedInputs += step.failedInputs
            }
            // 7 inputs, 3 or 4 of them, 1 or 2, 1: two attempts each, the last of which parts them or fails.
            #expect(report.failedInputs == 1 && (2...3).contains(report.split))
            #expect(report.rescued == report.split + 1 && attempts == 2 * report.rescued)
            let done = try await stores.job(job.id)
            #expect(done.state == .completed && done.counts == JobCounts(total: 7, succeeded: 6, failed: 1))
            let results = try await stores.results(job.id)
            #expect(results.map(\.index) == Array(0..<7))
            for result in results {
                if result.index == 2 {
                    #expect(result.errorCode != nil)
                } else {
                    #expect(result == Work.result(result.index, "text \(result.index)"))
                }
            }
            let failures = try await stores.jobs.failures(of: job.id, after: nil, limit: 10)
            #expect(failures.map(\.index) == [2])
        },
        JobClaim("the halves of a segment hold what it had still to do") { stores in
            let job = try await stores.submit([
                Work.invalid("0"), try Work.input("1", "text 1"), Work.invalid("2"), try Work.input("3", "text 3"),
                try Work.input("4", "text 4"), Work.invalid("5"),
            ])
            _ = try await stores.claimOne()
            try await stores.pass(.seconds(31))
            #expect(try await stores.rescue(after: 1) == RescueReport(split: 1))
            #expect(try await stores.results(job.id).map(\.index) == [0, 2, 5])
            var indexes: [[Int]] = []
            for segment in try await stores.claim(10) {
                #expect(segment.attempt == 1)
                indexes.append(try await stores.segments.load(segment).map(\.index))
                #expect(try await stores.finish(segment) == .finished)
            }
            #expect(indexes == [[1], [3, 4]] || indexes == [[1, 3], [4]])
            let done = try await stores.job(job.id)
            #expect(done.state == .completed && done.counts == JobCounts(total: 6, succeeded: 3, failed: 3))
            #expect(try await stores.results(job.id).map(\.index) == Array(0..<6))
        },
        JobClaim("segments of a paused job are rescued, and wait with it") { stores in
            let job = try await stores.submit(try Work.inputs(0..<2))
            _ = try await stores.claimOne()
            _ = try await stores.jobs.apply(.pause, to: job.id)
            try await stores.pass(.seconds(31))
            #expect(try await stores.rescue() == RescueReport(rescued: 1))
            #expect(try await stores.claim().isEmpty)
            _ = try await stores.jobs.apply(.resume, to: job.id)
            #expect(try await stores.claimOne().attempt == 2)
        },
        JobClaim("rescuers at once take each lease away once") { stores in
            try await stores.submit(try (0..<20).map { try Work.inputs($0..<$0 + 1) }, as: stores.specification())
            _ = try await stores.claim(20)
            try await stores.pass(.seconds(31))
            let rescued = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<6 { group.addTask { try await stores.rescue().rescued } }
                return try await group.reduce(0, +)
            }
            #expect(rescued == 20)
            try await stores.workAll()
            #expect(try await stores.jobs.jobs(JobQuery()).jobs.map(\.counts) == [JobCounts(total: 20, succeeded: 20)])
        },
    ]
}
