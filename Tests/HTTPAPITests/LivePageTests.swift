import Embeddings
import Foundation
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct LivePageTests {
    private static let assets = URL(filePath: #filePath)
        .deletingLastPathComponent().appending(path: "../../Sources/HTTPAPI/Dashboard/Assets").standardizedFileURL

    private let shown = API(batcher: LiveBatcher())
    private let guarded = API(batcher: LiveBatcher()) { $0.apiKeys = [Secret("the-key")] }

    @Test func theBinaryCarriesEveryFileOfThePageByteForByte() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.assets.path)
        #expect(LivePage.files.map(\.name).sorted() == names.sorted())
        for (name, bytes) in LivePage.files {
            #expect(try Array(Data(contentsOf: Self.assets.appending(path: name))) == bytes, "\(name)")
        }
    }

    @Test func thePageIsOneAnswerThatLoadsNothing() async throws {
        let page = try await shown.send(.get, "/")
        #expect(page.status == 200)
        #expect(page.headers[.contentType] == "text/html; charset=utf-8")
        #expect(page.text.hasPrefix("<!doctype html>") && page.text.hasSuffix("</html>\n"))
        for (name, bytes) in LivePage.files where name != "page.html" {
            #expect(page.text.contains(String(decoding: bytes, as: UTF8.self)), "\(name)")
        }
        // Neither a script nor a style, picture or font from another address.
        #expect(!page.text.contains(" src=") && !page.text.contains("url(") && !page.text.contains("@import"))
        let addresses = page.text.split(separator: "http://www.w3.org/2000/svg", omittingEmptySubsequences: false)
        #expect(addresses.allSatisfy { !$0.contains("http://") && !$0.contains("https://") })
    }

    @Test func thePolicyAllowsThePagesOwnTextAlone() async throws {
        let page = try await shown.send(.get, "/")
        let policy = page.headers[.contentSecurityPolicy] ?? ""
        let rules = policy.split(separator: "; ").map(String.init)
        #expect(rules.first == "default-src 'none'")
        for rule in ["connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
            #expect(rules.contains(rule))
        }
        for kind in ["style-src", "script-src"] {
            let rule = rules.first { $0.hasPrefix("\(kind) ") } ?? ""
            #expect(rule.hasPrefix("\(kind) 'sha256-") && rule.hasSuffix("='") && rule.utf8.count == kind.count + 54)
        }
        #expect(!policy.contains("unsafe"))
        #expect(page.headers[.xContentTypeOptions] == "nosniff")
        #expect(page.headers[try #require(HTTPField.Name("Referrer-Policy"))] == "no-referrer")
    }

    @Test func aHeadTellsTheLength() async throws {
        let page = try await shown.send(.get, "/")
        let head = try await shown.send(.head, "/")
        #expect(head.status == 200 && head.text.isEmpty)
        #expect(head.headers[.contentLength] == "\(page.text.utf8.count)")
    }

    @Test func thePageIsTheSameForThoseWithoutAKeyAndTellsThemNothing() async throws {
        let page = try await guarded.send(.get, "/")
        #expect(page.status == 200)
        let other = try await shown.send(.get, "/")
        #expect(page.text == other.text)
        for word in ["hash-model", "the-key"] { #expect(!page.text.contains(word)) }
    }

    @Test func theEventsNeedTheKey() async throws {
        #expect(try await guarded.send(.get, "/v1/live").status == 401)
        #expect(try await guarded.send(.get, "/v1/live", headers: [.authorization: "Bearer wrong"]).status == 401)
        let head = try await guarded.send(.head, "/v1/live", headers: [.authorization: "Bearer the-key"])
        #expect(head.status == 200 && head.headers[.contentType] == "text/event-stream")
        #expect(head.headers[.cacheControl] == "no-store")
    }

    @Test(arguments: ["/", "/v1/live", "/v1/l%69ve"])
    func withoutADashboardThereIsNoSuchPath(path: String) async throws {
        for method in [HTTPRequest.Method.get, .head, .post] {
            let answer = try await API().send(method, path)
            #expect(answer.status == 404)
        }
        #expect(try await API().send(.get, path).code == "not_found")
        let unseen = try await API { $0.apiKeys = [Secret("the-key")] }.send(.get, path)
        #expect(unseen.status == 401)
    }

    @Test(arguments: ["/", "/v1/live"])
    func otherMethodsAreRefused(path: String) async throws {
        let answer = try await shown.send(.post, path, "{}")
        #expect(answer.status == 405 && answer.headers[.allow]?.contains("GET") == true)
    }

    @Test func unknownParametersAreNamed() async throws {
        let answer = try await shown.send(.get, "/v1/live?every=1")
        #expect(answer.status == 400 && answer.code == "invalid_value" && answer.field == "every")
    }
}
