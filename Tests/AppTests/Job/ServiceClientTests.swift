import App
import JSON
import NIOHTTP1
import Testing

struct ServiceClientTests {
    @Test(arguments: [
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, ""), ("HTTP://a.example", "a.example", 80, ""),
        ("http://[::1]:9/", "::1", 9, ""), ("http://a/b/c/", "a", 80, "/b/c"),
    ])
    func addressesAreTakenApart(text: String, host: String, port: Int, prefix: String) throws {
        let address = try ServiceAddress(text)
        #expect(address.host == host && address.port == port && address.prefix == prefix)
    }

    @Test(arguments: [
        "", "127.0.0.1:8080", "ftp://a", "http://", "http://user:password@a", "http://a?b=c", "http://a#b",
        "http://a:0", "http://a:65536",
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(throws: CommandFailure.self) { try ServiceAddress(text) }
    }

    @Test func encryptionIsLeftToAProxy() {
        #expect {
            try ServiceAddress("https://a.example")
        } throws: { error in
            (error as? CommandFailure).map { $0.exitCode == 64 && $0.message.contains("proxy") } ?? false
        }
    }

    @Test func aRequestSaysWhoAsksAndWhat() async throws {
        let (answer, requests) = try await LoopbackServer.with(answer: { _ in .json(.ok, #"{"a":1}"#) }) { client in
            try await client.document(ServiceRequest(.GET, "/v1/jobs", query: [("state", "a,b"), ("x", "ä &=")]))
        }
        #expect(answer["a"] == 1)
        let request = try #require(requests.first)
        #expect(request.uri == "/prefix/v1/jobs?state=a%2Cb&x=%C3%A4%20%26%3D")
        #expect(request.headers["Authorization"] == ["Bearer secret"])
        #expect(request.headers.first(name: "Host")?.hasPrefix("127.0.0.1:") == true)
    }

    @Test func refusalsAreSaidInTheServersWords() async throws {
        let refusals: [(LoopbackServer.Answer, ServiceFailure)] = [
            (
                .json(.conflict, #"{"error":{"message":"not now","type":"x","param":null,"code":"job_state"}}"#),
                .refused(status: 409, code: "job_state", message: "not now")
            ),
            (
                .whole(.badGateway, [], "<html>"),
                .refused(status: 502, code: "Bad Gateway", message: "the server refused")
            ),
        ]
        for (answer, failure) in refusals {
            await #expect(throws: failure) {
                try await LoopbackServer.with(answer: { _ in answer }) { client in
                    try await client.document(ServiceRequest(.GET, "/"))
                }
            }
        }
    }

    @Test(arguments: ["", "<html>", "[1]", #"{"a":"#])
    func whatIsNoJSONObjectIsNotBelieved(body: String) async throws {
        await #expect {
            try await LoopbackServer.with(answer: { _ in .whole(.ok, [], body) }) { client in
                try await client.document(ServiceRequest(.GET, "/"))
            }
        } throws: { error in
            if case ServiceFailure.unexpected = error { true } else { false }
        }
    }

    @Test func aCutAnswerIsALostOne() async throws {
        for answer in [LoopbackServer.Answer.cut(.ok, [], #"{"a":1}"#), .none] {
            await #expect {
                try await LoopbackServer.with(answer: { _ in answer }) { client in
                    try await client.document(ServiceRequest(.GET, "/"))
                }
            } throws: { error in
                if case ServiceFailure.lost = error { true } else { false }
            }
        }
    }

    @Test func nobodyListensIsSaidSo() async throws {
        // The port was free a moment ago.
        let (client, _) = try await LoopbackServer.with(answer: { _ in .none }) { $0 }
        await #expect {
            try await client.document(ServiceRequest(.GET, "/"))
        } throws: { error in
            if case ServiceFailure.unreachable = error { true } else { false }
        }
    }

    /// An upload that never ends is neither read into memory nor waited for.
    @Test func anEarlyAnswerEndsTheUpload() async throws {
        await #expect(throws: ServiceFailure.refused(status: 413, code: "too_large", message: "enough")) {
            try await LoopbackServer.with(
                at: .afterHead,
                answer: { _ in .json(.payloadTooLarge, #"{"error":{"message":"enough","code":"too_large"}}"#) },
                { client in
                    try await client.document(ServiceRequest(.POST, "/")) { write in
                        while true { try await write([UInt8](repeating: 0x20, count: 1 << 16)) }
                    }
                })
        }
    }

    @Test func aFaultOfTheSourceIsItsOwn() async throws {
        struct Unreadable: Error {}
        await #expect(throws: Unreadable.self) {
            try await LoopbackServer.with(answer: { _ in .json(.ok, "{}") }) { client in
                try await client.document(ServiceRequest(.POST, "/")) { write in
                    try await write([1, 2, 3])
                    throw Unreadable()
                }
            }
        }
    }
}

struct EventReaderTests {
    private static let stream = Array(
        "event: progress\ndata: {\"a\":1}\n\n: keep-alive\n\nevent:end\r\ndata: x\r\ndata:y\r\n\r\ndata: z\n\nid: 4\n\n"
            .utf8)
    private static let events = [#"progress {"a":1}"#, "end x\ny", "message z"]

    @Test(arguments: [1, 2, 3, 7, 1_000])
    func eventsAreReadHoweverTheyArrive(size: Int) throws {
        var reader = EventReader()
        var events: [String] = []
        for start in stride(from: 0, to: Self.stream.count, by: size) {
            let piece = Array(Self.stream[start..<min(start + size, Self.stream.count)])
            events += try reader.read(piece).map { "\($0.name) \($0.data)" }
        }
        #expect(events == Self.events)
    }

    @Test func anEventHasABound() {
        var reader = EventReader()
        #expect(throws: ServiceFailure.self) {
            for _ in 0..<20 { _ = try reader.read([UInt8](repeating: 0x61, count: 1 << 16)) }
        }
    }
}
