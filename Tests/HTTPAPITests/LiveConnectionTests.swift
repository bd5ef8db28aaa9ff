import Embeddings
import HTTPAPI
import JSON
import MetricsTestKit
import NIOCore
import Testing

/// Over real sockets of 127.0.0.1. Every deadline that is met is configured short; nothing sleeps.
@Suite(.timeLimit(.minutes(1)))
struct LiveConnectionTests {
    @Test func connectionsAreKept() async throws {
        try await withServer { server in
            try await server.withConnection { connection in
                for number in 1...50 {
                    try await connection.write(.post("/v1/embeddings", #"{"input":"text \#(number)"}"#))
                    let answer = try await connection.readAnswer()
                    #expect(answer.status == 200)
                    #expect(answer.head.contains("X-Request-Id: req_"))
                    #expect(answer.head.contains("Server: ovenbird") && answer.head.contains("GMT"))
                }
                try await connection.write(.get("/livez", extra: "Connection: close\r\n"))
                #expect(try await connection.readAnswer().head.lowercased().contains("connection: close"))
                #expect(await connection.isClosedByServer())
            }
        }
    }

    /// Whose answer is ready before the reader comes to the request's end.
    @Test func connectionsAreKeptAfterRequestsWithoutABody() async throws {
        try await withServer { server in
            try await server.withConnection { connection in
                for _ in 1...500 {
                    try await connection.write(.get("/livez"))
                    #expect(try await !connection.readAnswer().head.lowercased().contains("connection: close"))
                }
            }
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withServer { server in
            try await server.withConnection { connection in
                let requests = (0..<20).map { String.get("/v1/models/unknown-\($0)") }
                try await connection.write(requests.joined())
                for number in 0..<20 {
                    #expect(try await connection.readAnswer().body.contains("unknown-\(number)'"))
                }
            }
        }
    }

    @Test func chunkedBodiesAreRead() async throws {
        try await withServer { server in
            let answer = try await server.send(
                "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"input\"\r\n5\r\n:\"a\"}\r\n0\r\n\r\n")
            #expect(answer.status == 200)
        }
    }

    @Test func waitingClientsAreToldToContinue() async throws {
        try await withServer { server in
            try await server.withConnection { connection in
                let body = #"{"input":"a"}"#
                try await connection.write(
                    "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Expect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
                #expect(try await connection.readAnswer().status == 100)
                try await connection.write(body)
                #expect(try await connection.readAnswer().status == 200)
            }
        }
    }

    @Test func slowBodiesMeetADeadline() async throws {
        try await withServer(configure: {
            $0.bodyPatience = .milliseconds(50)
            $0.lingerTimeout = .milliseconds(50)
        }) { server in
            for type in ["application/json", "application/x-ndjson"] {
                _ = try await server.send("PUT /v1/collections/demo HTTP/1.1\r\nHost: localhost\r\n\r\n")
                try await server.withConnection { connection in
                    try await connection.write(
                        "POST /v1/collections/demo/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
                            + "Content-Length: 1000\r\n\r\n{\"id\":1,\"text\":\"a\"}\n{")
                    let answer = try await connection.readAnswer()
                    #expect(answer.status == 408)
                    #expect(answer.code == "body_timeout")
                    #expect(type == "application/json" || answer.json["resume_at"] == 0)
                    #expect(await connection.isClosedByServer())
                }
            }
        }
    }

    @Test func wholeBodiesMeetADeadlineHoweverTheyDrip() async throws {
        try await withServer(configure: { $0.bodyTimeout = .milliseconds(50) }) { server in
            let answer = try await server.send(
                "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 1000\r\n\r\n{")
            #expect(answer.status == 408)
        }
    }

    @Test func slowHeadsMeetADeadline() async throws {
        try await withServer(configure: {
            $0.headTimeout = .milliseconds(50)
            $0.lingerTimeout = .milliseconds(50)
        }) { server in
            try await server.withConnection { connection in
                try await connection.write("GET /livez HT")
                let answer = try await connection.readAnswer()
                #expect(answer.status == 408)
                #expect(answer.code == "head_timeout")
                #expect(await connection.isClosedByServer())
            }
        }
    }

    @Test func idleConnectionsAreClosed() async throws {
        try await withServer(configure: { $0.idleTimeout = .milliseconds(500) }) { server in
            try await server.withConnection { connection in
                #expect(await connection.isClosedByServer())
            }
            try await server.withConnection { connection in
                try await connection.write(.get("/livez"))
                #expect(try await connection.readAnswer().status == 200)
                #expect(await connection.isClosedByServer())
            }
        }
    }

    @Test func newcomersTakeThePlaceOfTheLongestIdle() async throws {
        let metrics = TestMetrics()
        try await withServer(metrics: metrics, configure: { $0.maxConnections = 3 }) { server in
            let open = try metrics.expectMeter("ovenbird_http_connections")
            async let silentIsClosed = server.withConnection { await $0.isClosedByServer() }
            while open.lastValue != 1 { await Task.yield() }
            try await server.withConnection { used in
                // Idle since its answer, which is later than the silent one's start.
                try await used.write(.get("/livez"))
                #expect(try await used.readAnswer().status == 200)
                #expect(try await server.send(.get("/livez")).status == 200)
                try await used.write(.get("/livez"))
                #expect(try await used.readAnswer().status == 200)
            }
            #expect(try await silentIsClosed)
        }
        #expect(try metrics.expectCounter("ovenbird_http_evictions_total").totalValue == 1)
    }

    @Test func connectionsWithARequestUnderWayKeepTheirPlace() async throws {
        let embedder = HashEmbedder()
        embedder.hang()
        try await withServer(embedder: embedder, configure: { $0.maxConnections = 2 }) { server in
            try await server.withConnection { waiting in
                try await waiting.write(.post("/v1/embeddings", #"{"input":"a"}"#))
                while embedder.requests.isEmpty { await Task.yield() }
                for _ in 0..<3 { #expect(try await server.send(.get("/livez")).status == 200) }
                #expect(embedder.cancellationCount == 0)
            }
        }
    }

    @Test func everyConnectionIsAClientOfTheQueue() async throws {
        try await withServer { server in
            for _ in 0..<2 {
                try await server.withConnection { connection in
                    for _ in 0..<2 {
                        try await connection.write(.post("/v1/embeddings", #"{"input":"a"}"#))
                        #expect(try await connection.readAnswer().status == 200)
                    }
                }
            }
            let clients = server.embedder.requests.map(\.client)
            #expect(clients.count == 4 && clients[0] == clients[1] && clients[2] == clients[3])
            #expect(clients[1] != clients[2])
        }
    }

    @Test func slowReadersAreClosed() async throws {
        let metrics = TestMetrics()
        try await withServer(
            metrics: metrics,
            configure: {
                $0.responseTimeout = .milliseconds(50)
                $0.minimumResponseRate = 1 << 40
            }
        ) { server in
            try await server.withConnection { connection in
                // Far more than the sockets' buffers hold, and nothing is read until the server has given up.
                let inputs = Array(repeating: #""a b c""#, count: 2_000).joined(separator: ",")
                var request = ""
                for _ in 0..<200 { request += .post("/v1/embeddings", #"{"input":[\#(inputs)]}"#) }
                await #expect(throws: (any Error).self) {
                    for _ in 0..<1_000 { try await connection.write(request) }
                }
            }
        }
        #expect(try metrics.expectCounter("ovenbird_http_slow_readers_total").totalValue == 1)
        #expect(try metrics.expectMeter("ovenbird_http_connections").lastValue == 0)
    }

    @Test func lostClientsWorkIsCancelled() async throws {
        let embedder = HashEmbedder()
        embedder.hang()
        try await withServer(embedder: embedder) { server in
            try await server.withConnection { connection in
                try await connection.write(.post("/v1/embeddings", #"{"input":"a"}"#))
                while embedder.requests.isEmpty { await Task.yield() }
            }
            while embedder.cancellationCount == 0 { await Task.yield() }
        }
        #expect(embedder.cancellationCount == 1)
    }

    @Test(arguments: [
        "NONSENSE\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n", "POST /v1/embeddings HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET /livez HTTP/1.1\r\n\r\n", "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /livez HTTP/1.1\r\nbad header\r\n\r\n",
        "GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 200_000))\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
    ])
    func brokenRequestsGetAnErrorBody(request: String) async throws {
        try await withServer { server in
            let answer = try await server.send(request)
            #expect(answer.status == 400)
            #expect(answer.code == "malformed_request")
            #expect(answer.head.contains("X-Request-Id: "))
        }
    }

    @Test(arguments: ["", "Connection: keep-alive\r\n", "Host: localhost\r\n"])
    func anOldClientsConnectionEndsWithTheAnswer(header: String) async throws {
        try await withServer { server in
            try await server.withConnection { connection in
                try await connection.write("GET /livez HTTP/1.0\r\n\(header)\r\n")
                #expect(try await connection.readAnswer().status == 200)
                #expect(await connection.isClosedByServer())
            }
        }
    }

    @Test func requestsCutShortAreAnswered() async throws {
        try await withServer { server in
            let answer = try await server.withConnection { connection in
                try await connection.write(
                    "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Content-Length: 100\r\n\r\n{\"input\":")
                connection.outbound.finish()
                return try await connection.readAnswer()
            }
            #expect(answer.status == 400)
            #expect(answer.code == "body_incomplete")
        }
    }

    @Test func refusedBodiesDoNotHideTheAnswer() async throws {
        try await withServer(configure: { $0.maxBodyBytes = 1_000 }) { server in
            let body = String(repeating: "x", count: 4 << 20)
            let answer = try await server.send(.post("/v1/embeddings", body))
            #expect(answer.status == 413)
            #expect(answer.head.lowercased().contains("connection: close"))
        }
    }

    @Test func longStreamsFlowThrough() async throws {
        let store = FaultyStore()
        try await withServer(store: store) { server in
            _ = try await server.send("PUT /v1/collections/demo HTTP/1.1\r\nHost: localhost\r\n\r\n")
            // 80 MB through one connection; ten ids, so that the store stays small.
            let padding = String(repeating: "p", count: 8_000)
            let answer = try await server.withConnection { connection in
                try await connection.write(
                    "POST /v1/collections/demo/documents HTTP/1.1\r\nHost: localhost\r\n"
                        + "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
                for start in 0..<100 {
                    let lines = (0..<100).map { #"{"id":\#($0 % 10),"text":"\#(start) \#(padding)"}"# + "\n" }.joined()
                    try await connection.write("\(String(lines.utf8.count, radix: 16))\r\n\(lines)\r\n")
                }
                try await connection.write("0\r\n\r\n")
                return try await connection.readAnswer()
            }
            #expect(answer.status == 200)
            let counts = ["inserted", "updated", "unchanged", "superseded"].map {
                answer.json[$0]?.number?.integer ?? 0
            }
            #expect(counts.reduce(0, +) == 10_000)
            #expect(try await server.send(.get("/v1/collections/demo")).json["documents"] == 10)
        }
    }

    @Test func shutdownFinishesWhatRuns() async throws {
        try await withServer { server in
            try await server.withConnection { connection in
                let body = #"{"input":"a"}"#
                try await connection.write(
                    "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Expect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
                #expect(try await connection.readAnswer().status == 100)
                await server.stop()
                while (try? await server.send(.get("/livez"))) != nil { await Task.yield() }
                try await connection.write(body)
                let answer = try await connection.readAnswer()
                #expect(answer.status == 200)
                #expect(answer.head.lowercased().contains("connection: close"))
            }
        }
    }
}
