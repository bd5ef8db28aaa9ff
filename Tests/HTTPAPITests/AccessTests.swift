import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Logging
import MetricsTestKit
import Synchronization
import Testing

struct AccessTests {
    private let guarded = API { $0.apiKeys = [Secret("first-key"), Secret("second-key-é")] }

    @Test(arguments: ["Bearer first-key", "bearer first-key", "Bearer second-key-é"])
    func anyOfTheKeysOpens(header: String) async throws {
        #expect(try await guarded.send(.get, "/v1/models", headers: [.authorization: header]).status == 200)
    }

    @Test(arguments: [
        "", "Bearer", "Bearer ", "Bearer first-ke", "Bearer first-keyy", "Bearer first-keyfirst-key",
        "Bearer FIRST-KEY",
        "Basic first-key", "first-key", "Bearer  first-key", "Bearer first-key,second-key-é",
    ])
    func nothingElseDoes(header: String) async throws {
        for path in ["/v1/models", "/metrics", "/info", "/v1/collections", "/v1/unknown"] {
            let answer = try await guarded.send(.get, path, headers: [.authorization: header])
            #expect(answer.status == 401)
            #expect(answer.code == "invalid_api_key")
            #expect(answer.error["type"] == "invalid_request_error")
            #expect(answer.headers[.wwwAuthenticate] == "Bearer")
            #expect(!answer.text.contains("first-key"))
        }
    }

    @Test func probesNeedNoKey() async throws {
        #expect(try await guarded.send(.get, "/livez").status == 200)
        #expect(try await guarded.send(.get, "/readyz").status == 200)
        #expect(try await guarded.send(.get, "/v1/models").status == 401)
    }

    @Test func aLoggedServiceShowsNothingOfItself() {
        #expect("\(guarded.service)" == "HTTP server")
    }

    @Test func secretsAreNeverDescribed() {
        let secret = Secret("hidden-value")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \([secret]) \(dumped)".contains("hidden"))
    }

    @Test(arguments: [
        "localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080",
    ])
    func loopbackNamesAreAnswered(host: String) async throws {
        #expect(try await API().send(.get, "/livez", host: host).status == 200)
    }

    @Test(arguments: ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::2]"])
    func otherNamesAreRefusedOnLoopback(host: String) async throws {
        let answer = try await API().send(.get, "/livez", host: host)
        #expect(answer.status == 421)
        #expect(answer.code == "host_refused")
        #expect(try await API { $0.host = "0.0.0.0" }.send(.get, "/livez", host: host).status == 200)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.9.9.9", true), ("localhost", true), ("::1", true), ("0.0.0.0", false), ("::", false),
        ("127.example.com", false), ("192.168.0.1", false), ("", false), ("127.0.0.1.example.org", false),
        ("127.0.0", false), ("127.0.0.256", false), ("127.0.0.+1", false), ("[::1]", true),
    ])
    func loopbackIsRecognised(host: String, isLoopback: Bool) {
        var configuration = HTTPConfiguration()
        configuration.host = host
        #expect(configuration.bindsLoopback == isLoopback)
    }

    @Test func allowedHostsAreAnswered() async throws {
        let api = API { $0.allowedHosts = ["Proxy.Example"] }
        #expect(try await api.send(.get, "/livez", host: "proxy.example:443").status == 200)
        #expect(try await api.send(.get, "/livez", host: "other.example").status == 421)
    }

    @Test func allowedHostsAreTheOnlyOnesBeyondLoopbackToo() async throws {
        let api = API {
            $0.host = "0.0.0.0"
            $0.allowedHosts = ["service"]
        }
        for host in ["service:8080", "localhost:8080", "127.0.0.1"] {
            #expect(try await api.send(.get, "/livez", host: host).status == 200)
        }
        #expect(try await api.send(.get, "/livez", host: "evil.example").code == "host_refused")
    }

    @Test(arguments: [
        "/", "", "/v1", "/v1/", "/v1/embedding", "/v1/embeddings/", "/v1/embeddings/x", "/v2/embeddings", "/livez/x",
        "/v1/collections/a/documents/", "/v1/collections/a/other", "/v1/collections/a/search/x", "//livez",
    ])
    func unknownPathsAre404(path: String) async throws {
        let answer = try await API().send(.get, path)
        #expect(answer.status == 404, "\(path)")
        #expect(answer.code == "not_found")
    }

    @Test(arguments: [
        ("/v1/embeddings", "POST"), ("/v1/models", "GET"), ("/v1/collections/a", "GET, PUT, DELETE"),
        ("/v1/collections/a/documents", "GET, POST"), ("/v1/collections/a/documents/delete", "GET, DELETE, POST"),
        ("/v1/collections/a/search", "POST"), ("/livez", "GET"),
    ])
    func wrongMethodsAre405NamingTheRightOnes(path: String, allowed: String) async throws {
        let answer = try await API().send(.patch, path)
        #expect(answer.status == 405)
        #expect(answer.headers[.allow] == allowed)
        #expect(answer.code == "method_not_allowed")
    }

    @Test func headIsGetWithoutABody() async throws {
        let answer = try await API().send(.head, "/livez")
        #expect(answer.status == 200)
        #expect(answer.text.isEmpty)
    }

    @Test func requestIDsAreTakenOrMade() async throws {
        let name = try #require(HTTPField.Name("X-Request-Id"))
        #expect(try await API().send(.get, "/livez", headers: [name: "abc-1"]).headers[name] == "abc-1")
        for bad in ["", "a b", "é", String(repeating: "x", count: 129)] {
            let made = try await API().send(.get, "/nowhere", headers: [name: bad]).headers[name]
            #expect(made?.hasPrefix("req_") == true)
        }
    }

    @Test func noCrossOriginHeaderIsSent() async throws {
        let origin = try #require(HTTPField.Name("Origin"))
        let answer = try await API().send(.get, "/livez", headers: [origin: "http://evil.example"])
        #expect(!answer.headers.contains { $0.name.canonicalName.hasPrefix("access-control") })
    }

    @Test func readinessTellsWhatFails() async throws {
        let api = API()
        #expect(
            try await api.send(.get, "/readyz?require=storage").json == [
                "embedding": "ok", "storage": "ok", "status": "ready",
            ])
        await api.store?.fail(.unavailable(details: "10.0.0.7"))
        #expect(try await api.send(.get, "/readyz").status == 200)
        let answer = try await api.send(.get, "/readyz?require=storage")
        #expect(answer.status == 503)
        #expect(answer.object["storage"] == "the database cannot be reached now")
        api.embedder.failNext(.shuttingDown)
        #expect(try await api.send(.get, "/readyz").status == 503)
        api.embedder.failNext(.overloaded(retryAfter: .seconds(1)))
        #expect(try await api.send(.get, "/readyz").status == 200)
        #expect(try await API(store: nil).send(.get, "/readyz?require=storage").status == 503)
        #expect(try await api.send(.get, "/readyz?require=luck").status == 400)
    }

    @Test func readinessDoesNotWaitForAHangingEncoder() async throws {
        let api = API { $0.readinessTimeout = .milliseconds(20) }
        api.embedder.hang()
        #expect(try await api.send(.get, "/readyz").status == 503)
        #expect(try await api.send(.get, "/livez").status == 200)
    }

    @Test func readinessIsRememberedForAMoment() async throws {
        let api = API { $0.readinessLifetime = .seconds(60) }
        for _ in 0..<5 { #expect(try await api.send(.get, "/readyz").status == 200) }
        #expect(api.embedder.requests.count == 1)
    }

    @Test func infoAndMetricsAreHandedThrough() async throws {
        #expect(try await API().send(.get, "/info").json == ["version": "test"])
        let answer = try await API().send(.get, "/metrics")
        #expect(answer.text == "ovenbird_up 1\n")
        #expect(answer.headers[.contentType]?.hasPrefix("text/plain") == true)
    }

    @Test func metricsHaveBoundedLabels() async throws {
        let metrics = TestMetrics()
        let api = try await API(metrics: metrics).prepared()
        _ = try await api.send(.get, "/v1/collections/demo/documents/some-id")
        _ = try await api.send(.get, "/some/raw/path")
        _ = try await api.send(.init("BREW") ?? .get, "/livez")
        let counter = try metrics.expectCounter(
            "ovenbird_http_requests_total",
            [("route", "/v1/collections/{name}/documents/{id}"), ("method", "GET"), ("status", "4xx")])
        #expect(counter.totalValue == 1)
        #expect(
            try metrics.expectCounter("ovenbird_http_errors_total", [("code", "document_not_found")]).totalValue == 1)
        #expect(
            try metrics.expectCounter(
                "ovenbird_http_requests_total", [("route", "unknown"), ("method", "other"), ("status", "4xx")]
            ).totalValue == 1)
        #expect(try !metrics.expectTimer("ovenbird_stage_seconds", [("stage", "store")]).values.isEmpty)
        #expect(
            try metrics.expectTimer("ovenbird_http_request_duration_seconds", [("route", "unknown")]).values.count == 2)
    }

    @Test func logsHoldNeitherTextsNorKeys() async throws {
        let lines = Mutex<[String]>([])
        let logger = Logger(label: "test") { _ in RecordingHandler { line in lines.withLock { $0.append(line) } } }
        let api = try await API(logger: logger) { $0.apiKeys = [Secret("k3y")] }.prepared()
        let key: HTTPFields = [.authorization: "Bearer k3y"]
        _ = try await api.send(.post, "/v1/embeddings", #"{"input":"private words"}"#, headers: key)
        await api.store?.fail(.unavailable(details: "connection refused"))
        _ = try await api.send(.get, "/v1/collections", headers: key)
        let log = lines.withLock { $0.joined(separator: "\n") }
        #expect(log.contains("request_id") && log.contains("connection refused"))
        #expect(!log.contains("private") && !log.contains("k3y"))
    }
}
