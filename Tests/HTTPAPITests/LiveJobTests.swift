import Embeddings
import HTTPAPI
import JSON
import NIOCore
import Testing

/// Over real sockets of 127.0.0.1. Every deadline that is met is configured short; nothing sleeps but the server.
@Suite(.timeLimit(.minutes(1)))
struct LiveJobTests {
    @Test func uploadsOfAnyLengthBecomeAJob() async throws {
        let jobs = FakeJobStore()
        try await withServer(jobs: jobs) { server in
            let answer = try await server.withConnection { connection in
                try await connection.write(
                    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                        + "Transfer-Encoding: chunked\r\n\r\n")
                for start in 0..<50 {
                    let lines = (0..<1_000).map { #"{"id":"\#(start)-\#($0)","text":"short text \#($0)"}"# + "\n" }
                        .joined()
                    try await connection.write("\(String(lines.utf8.count, radix: 16))\r\n\(lines)\r\n")
                }
                try await connection.write("0\r\n\r\n")
                return try await connection.readAnswer()
            }
            #expect(answer.status == 202)
            #expect(answer.json["counts"]?.object?["total"] == 50_000)
            #expect(await jobs.appendSizes.allSatisfy { $0 <= 1_024 })
        }
    }

    @Test func aLostSendersDraftIsDropped() async throws {
        let jobs = FakeJobStore()
        try await withServer(jobs: jobs, configure: { $0.jobInputsPerAppend = 2 }) { server in
            try await server.withConnection { connection in
                try await connection.write(
                    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                        + "Content-Length: 1000\r\n\r\n" + String(repeating: "{\"text\":\"a\"}\n", count: 5))
                while await jobs.appendSizes.count < 2 { await Task.yield() }
            }
            while await jobs.discarded.isEmpty { await Task.yield() }
            #expect(await jobs.count == 0)
        }
    }

    @Test func slowSendersAreAnswered408() async throws {
        let jobs = FakeJobStore()
        try await withServer(
            jobs: jobs,
            configure: {
                $0.bodyPatience = .milliseconds(50)
                $0.jobInputsPerAppend = 1
            }
        ) { server in
            let answer = try await server.send(
                "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                    + "Content-Length: 1000\r\n\r\n{\"text\":\"a\"}\n")
            #expect(answer.status == 408)
            #expect(await jobs.count == 0)
        }
    }

    @Test func resultsAreReadNoFasterThanTheyAreTaken() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .completed, count: 20_000, ended: 0..<20_000, dimensions: 256)
        try await withServer(
            jobs: jobs,
            configure: {
                $0.resultsPerPage = 100
                // The rounds below take long on a machine that does much else.
                $0.responseTimeout = .seconds(3_600)
            }
        ) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/results?format=f32", extra: "Connection: close\r\n"))
                _ = try await connection.read(through: "\r\n\r\n")
                // 20 MB are on offer; what the socket's buffers hold is read, then nothing more.
                var seen = -1
                var quietRounds = 0
                while quietRounds < 200 {
                    let count = await jobs.resultCalls.count
                    quietRounds = count == seen ? quietRounds + 1 : 0
                    seen = count
                    _ = try await server.send(.get("/livez"))
                }
                #expect(seen < 150)
                #expect(await connection.countToEnd() == 20_000 * 1_024)
            }
            #expect(await jobs.resultCalls.count == 200)
        }
    }

    @Test func aCutAnswerNeverLooksWhole() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .completed, count: 100, ended: 0..<40)
        try await withServer(jobs: jobs, configure: { $0.resultsPerPage = 10 }) { server in
            for format in ["ndjson", "f32"] {
                try await server.withConnection { connection in
                    try await connection.write(.get("/v1/jobs/\(id)/results?format=\(format)"))
                    let text = await connection.readToEnd()
                    #expect(text.hasPrefix("HTTP/1.1 200 OK"))
                    // Neither the last chunk nor all of the announced bytes.
                    #expect(!text.hasSuffix("0\r\n\r\n"))
                    #expect(format == "ndjson" || text.contains("Content-Length: 3200"))
                }
            }
        }
    }

    @Test func connectionsAreKeptBehindResults() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .completed, count: 3, ended: 0..<3)
        try await withServer(jobs: jobs) { server in
            try await server.withConnection { connection in
                for _ in 0..<3 {
                    try await connection.write(.get("/v1/jobs/\(id)/results"))
                    _ = try await connection.read(through: "\r\n0\r\n\r\n")
                    try await connection.write(
                        "HEAD /v1/jobs/\(id)/results?format=npy HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    let head = try await connection.read(through: "\r\n\r\n")
                    #expect(head.contains("Content-Length: 224"))
                    try await connection.write(.get("/v1/jobs/\(id)/results?format=f32", extra: "Range: bytes=0-3\r\n"))
                    #expect(try await connection.readAnswer().status == 206)
                }
            }
        }
    }

    @Test func aHeadOfUnknownLengthTellsNone() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .completed, count: 3, ended: 0..<3)
        try await withServer(jobs: jobs) { server in
            try await server.withConnection { connection in
                try await connection.write("HEAD /v1/jobs/\(id)/results HTTP/1.1\r\nHost: localhost\r\n\r\n")
                let head = try await connection.read(through: "\r\n\r\n").lowercased()
                #expect(!head.contains("content-length") && head.contains("connection: close"))
                _ = await connection.readToEnd()
            }
        }
    }

    // MARK: - Events

    @Test func eventsFollowTheJobToItsEnd() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .queued, count: 4, ended: [])
        try await withServer(jobs: jobs, configure: { $0.eventInterval = .milliseconds(2) }) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/events"))
                let head = try await connection.read(through: "\r\n\r\n").lowercased()
                #expect(head.contains("content-type: text/event-stream"))
                let first = try await connection.read(through: "\n\n")
                #expect(first.contains("event: progress\ndata: {") && first.contains(#""state":"queued""#))
                await jobs.change(id) {
                    $0.state = .running; $0.counts.succeeded = 2
                }
                let second = try await connection.read(through: "\n\n")
                #expect(second.contains("event: progress") && second.contains(#""succeeded":2"#))
                await jobs.fail(.job, .unavailable(details: ""), .internalFailure(details: ""))
                await jobs.change(id) {
                    $0.state = .completed; $0.counts.succeeded = 4
                }
                let end = try await connection.read(through: "\n\n")
                #expect(end.contains("event: end") && end.contains(#""state":"completed""#))
                _ = try await connection.read(through: "0\r\n\r\n")
                // The connection goes on.
                try await connection.write(.get("/livez"))
                #expect(try await connection.readAnswer().status == 200)
            }
        }
    }

    @Test func anEndedJobsEventsEndAtOnce() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .cancelled, count: 4, ended: [])
        try await withServer(jobs: jobs) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/events"))
                let text = try await connection.read(through: "0\r\n\r\n")
                #expect(text.contains("event: progress") && text.contains("event: end"))
            }
        }
    }

    @Test func aDeletedJobsEventsEnd() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .running, count: 4, ended: [])
        try await withServer(jobs: jobs, configure: { $0.eventInterval = .milliseconds(2) }) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/events"))
                _ = try await connection.read(through: "\n\n")
                _ = try await jobs.deleteJob(id)
                let text = try await connection.read(through: "0\r\n\r\n")
                #expect(text.contains("event: end") && text.contains(#""deleted":true"#))
            }
        }
    }

    @Test func silenceIsBrokenByComments() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .running, count: 4, ended: [])
        try await withServer(
            jobs: jobs,
            configure: {
                $0.eventInterval = .milliseconds(2)
                $0.eventKeepAlive = .milliseconds(20)
                // Deadlines of other kinds of answers do not touch a stream that waits; a busy machine may take a second.
                $0.responseTimeout = .seconds(2)
                $0.idleTimeout = .seconds(2)
            }
        ) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/events"))
                for _ in 0..<110 { _ = try await connection.read(through: ": keep-alive\n\n") }
            }
        }
    }

    @Test func eventStreamsAreLimitedAndLostOnesMakeRoom() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .running, count: 4, ended: [])
        try await withServer(jobs: jobs, configure: { $0.maxEventStreams = 1 }) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/events"))
                _ = try await connection.read(through: "\n\n")
                let refused = try await server.send(.get("/v1/jobs/\(id)/events"))
                #expect(refused.status == 503 && refused.code == "too_many_event_streams")
            }
            // The first one is gone, which the server notices without writing.
            var status = 503
            while status == 503 {
                status = try await server.withConnection { connection in
                    try await connection.write(.get("/v1/jobs/\(id)/events"))
                    let line = try await connection.read(through: "\r\n")
                    return line.contains("200") ? 200 : 503
                }
            }
        }
    }

    @Test func shutdownDoesNotWaitForWatchers() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .running, count: 4, ended: [])
        try await withServer(jobs: jobs, configure: { $0.eventInterval = .seconds(3_600) }) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/events"))
                _ = try await connection.read(through: "\n\n")
                await server.stop()
                #expect(try await connection.read(through: "0\r\n\r\n").hasSuffix("0\r\n\r\n"))
                #expect(await connection.isClosedByServer())
            }
        }
    }

    @Test func aStreamUnderWayOutlivesAShutdown() async throws {
        let jobs = FakeJobStore()
        let id = await jobs.add(state: .completed, count: 5_000, ended: 0..<5_000, dimensions: 256)
        try await withServer(jobs: jobs, configure: { $0.resultsPerPage = 100 }) { server in
            try await server.withConnection { connection in
                try await connection.write(.get("/v1/jobs/\(id)/results?format=f32"))
                _ = try await connection.read(through: "\r\n\r\n")
                await server.stop()
                #expect(await connection.countToEnd() == 5_000 * 1_024)
            }
        }
    }
}
