import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct UpsertRouteTests {
    let api: API

    init() async throws {
        api = try await API().prepared()
    }

    @Test func countsWhatHappened() async throws {
        let first = try await api.upsert(
            #"{"id":"a","text":"one"},{"id":"b","text":"two","metadata":{"n":1}},{"id":"c","text":"1 2 3 4 5 6 7"}"#)
        #expect(first.status == 200)
        #expect(first.count("inserted") == 3)
        #expect(first.count("truncated") == 1)
        let second = try await api.upsert(
            #"{"id":"a","text":"one"},{"id":"b","text":"two","metadata":{"n":2}},{"id":"c","text":"new"},{"id":"d","text":"x"}"#
        )
        #expect(second.count("inserted") == 1)
        #expect(second.count("updated") == 2)
        #expect(second.count("unchanged") == 1)
        #expect(second.count("failed") == 0)
    }

    @Test func onlyNewTextsAreEmbedded() async throws {
        _ = try await api.upsert(#"{"id":"a","text":"one"},{"id":"b","text":"two"}"#)
        _ = try await api.upsert(#"{"id":"a","text":"one","metadata":{"changed":true}},{"id":"b","text":"three"}"#)
        #expect(api.embedder.embeddedTexts == ["one", "two", "three"])
        #expect(api.embedder.requests.allSatisfy { $0.role == .document && $0.truncation == .end })
    }

    @Test func badDocumentsFailAlone() async throws {
        let deep = String(repeating: #"{"a":"#, count: 17) + "1" + String(repeating: "}", count: 17)
        let cases: [(document: String, reason: String)] = [
            (#"{"id":"1","text":"a\u0000b"}"#, "NUL"), (#"{"id":"1\u0000","text":"a"}"#, "NUL"),
            (#"{"id":"1","text":"a","metadata":{"x":"\u0000"}}"#, "NUL"),
            (#"{"id":"1","text":"a","metadata":{"\u0000":1}}"#, "NUL"), (#"{"id":"1","text":"\ud800"}"#, "surrogate"),
            (#"{"id":"\udfff","text":"a"}"#, "surrogate"),
            (#"{"id":"1","text":"a","metadata":{"x":["\ud800"]}}"#, "surrogate"),
            (#"{"id":"1","text":"a","\ud800":1}"#, "surrogate"), (#"{"id":"1","text":""}"#, "empty"),
            (#"{"id":"","text":"a"}"#, "empty"), (#"{"text":"a"}"#, "missing"), (#"{"id":"1"}"#, "missing"),
            (#"{"id":"\#(String(repeating: "i", count: 513))","text":"a"}"#, "512"),
            (#"{"id":1.5,"text":"a"}"#, "integer"),
            (#"{"id":1e3,"text":"a"}"#, "integer"), (#"{"id":true,"text":"a"}"#, "boolean"),
            (#"{"id":null,"text":"a"}"#, "null"), (#"{"id":"1","text":5}"#, "number"),
            (#"{"id":"1","text":"a","metadata":[]}"#, "an array"),
            (#"{"id":"1","text":"a","metadata":"x"}"#, "a string"),
            (#"{"id":"1","text":"a","metadata":{"x":1e400}}"#, "range"),
            (#"{"id":"1","text":"a","metadata":\#(deep)}"#, "16"),
            (#"{"id":"1","text":"a","metadata":{"x":"\#(String(repeating: "y", count: 66_000))"}}"#, "65536"),
            ("5", "a number"), ("null", "null"), ("[]", "an array"), (#"{"id":"1","text":"NOTFINITE"}"#, "finite"),
        ]
        for (document, reason) in cases {
            let answer = try await api.upsert(#"{"id":"good","text":"g"},\#(document),{"id":"fine","text":"f"}"#)
            #expect(answer.status == 200, "\(document.prefix(60))")
            #expect(answer.count("failed") == 1, "\(document.prefix(60))")
            #expect(answer.count("errors") == nil)
            let error = try #require(answer.object["errors"]?.array?.first?.object)
            #expect(error["index"] == 1)
            #expect(error["message"]?.string?.contains(reason) == true, "\(error) lacks '\(reason)'")
            #expect(try await api.send(.get, "/v1/collections/demo/documents/fine").status == 200)
        }
        #expect(try await api.send(.get, "/v1/collections/demo").count("documents") == 2)
    }

    @Test func lineFailuresNameTheLine() async throws {
        let api = try await API { $0.maxLineBytes = 64 }.prepared()
        let answer = try await api.lines(
            #"{"id":"a","text":"x"}"#, "", #"{"id":"b","#, "   \r",
            #"{"id":"c","text":"\#(String(repeating: "l", count: 90))"}"#,
            #"{"id":"d","text":"last"}"#)
        #expect(answer.count("inserted") == 2)
        #expect(answer.object["errors"]?.array?.map { $0.object?["index"] } == [2, 4])
        #expect(answer.text.contains("not valid JSON") && answer.text.contains("longer than 64 bytes"))
    }

    @Test(arguments: [1, 2, 7, 1_000]) func linesMayArriveInAnyPieces(size: Int) async throws {
        let bytes = Array((0..<20).map { #"{"id":\#($0),"text":"text \#($0) é"}"# }.joined(separator: "\r\n").utf8)
        let pieces = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
        let answer = try await api.send(
            .post, "/v1/collections/demo/documents", pieces: pieces, type: "application/x-ndjson; charset=utf-8")
        #expect(answer.count("inserted") == 20)
        #expect(try await api.send(.get, "/v1/collections/demo/documents/19").object["text"] == "text 19 é")
    }

    @Test func lastOfAnIDWins() async throws {
        let near = try await api.upsert(#"{"id":"a","text":"old"},{"id":"b","text":"b"},{"id":"a","text":"new"}"#)
        #expect(near.count("inserted") == 2)
        #expect(near.count("superseded") == 1)
        #expect(try await api.send(.get, "/v1/collections/demo/documents/a").object["text"] == "new")

        let apart = try await API { $0.documentsPerChunk = 1 }.prepared()
        let answer = try await apart.lines(#"{"id":"a","text":"old"}"#, #"{"id":"a","text":"new"}"#)
        #expect(answer.count("inserted") == 1)
        #expect(answer.count("updated") == 1)
        #expect(try await apart.send(.get, "/v1/collections/demo/documents/a").object["text"] == "new")
    }

    @Test func spellingsOfOneLetterAreTwoDocuments() async throws {
        let answer = try await api.upsert(#"{"id":"caf\u00e9","text":"one"},{"id":"cafe\u0301","text":"two"}"#)
        #expect(answer.count("inserted") == 2 && answer.count("superseded") == 0)
        for (path, text) in [("caf%C3%A9", "one"), ("cafe%CC%81", "two")] {
            #expect(try await api.send(.get, "/v1/collections/demo/documents/\(path)").object["text"] == .string(text))
        }
    }

    @Test func integerIDsAreText() async throws {
        #expect(try await api.upsert(#"{"id":5,"text":"five"}"#).count("inserted") == 1)
        #expect(try await api.send(.get, "/v1/collections/demo/documents/5").object["id"] == "5")
    }

    @Test func failureInTheMiddleTellsWhereToResume() async throws {
        let api = try await API { $0.documentsPerChunk = 2 }.prepared()
        await api.store?.fail(.unavailable(details: "secret host name"), afterWrites: 2)
        let answer = try await api.lines(
            #"{"id":0,"text":"a"}"#, #"{"id":1,"text":"b"}"#, "", #"{"id":3,"text":"c"}"#, "broken",
            #"{"id":5,"text":"d"}"#,
            "broken too", #"{"id":7,"text":"e"}"#)
        #expect(answer.status == 503)
        #expect(answer.code == "database_unavailable")
        #expect(answer.headers[.retryAfter] != nil)
        #expect(answer.count("inserted") == 3)
        #expect(answer.count("failed") == 1)
        #expect(answer.count("resume_at") == 5)
        #expect(!answer.text.contains("secret"))
    }

    @Test func fullQueueRefusesAJSONBodyAtOnce() async throws {
        api.embedder.failNext(.overloaded(retryAfter: .milliseconds(1)))
        let answer = try await api.upsert(#"{"id":"a","text":"one"}"#)
        #expect(answer.status == 429)
        #expect(answer.count("resume_at") == 0)
    }

    @Test func fullQueueMakesAStreamWait() async throws {
        let full = EmbeddingError.overloaded(retryAfter: .milliseconds(1))
        api.embedder.failNext(full, full, full)
        let answer = try await api.lines(#"{"id":"a","text":"one"}"#)
        #expect(answer.status == 200)
        #expect(answer.count("inserted") == 1)
    }

    @Test func aStreamDoesNotWaitForEver() async throws {
        let api = try await API { $0.overloadPatience = .milliseconds(15) }.prepared()
        for _ in 0..<10 { api.embedder.failNext(.overloaded(retryAfter: .milliseconds(1))) }
        let answer = try await api.lines(#"{"id":"a","text":"one"}"#)
        #expect(answer.status == 429)
        #expect(answer.count("resume_at") == 0)
    }

    @Test func racedDocumentsAreEmbeddedAfterAll() async throws {
        _ = try await api.upsert(#"{"id":"a","text":"one"},{"id":"b","text":"two"}"#)
        await api.store?.race(["a"])
        let answer = try await api.upsert(#"{"id":"a","text":"one"},{"id":"b","text":"two"}"#)
        #expect(answer.status == 200)
        #expect(answer.count("failed") == 0)
        #expect(api.embedder.embeddedTexts == ["one", "two", "one"])
    }

    @Test func requestsTooLargeForTheQueueAreHalved() async throws {
        api.embedder.failNext(.requestTooLarge(tokenCount: 9, limit: 8), .requestTooLarge(tokenCount: 9, limit: 8))
        let answer = try await api.upsert(#"{"id":1,"text":"a"},{"id":2,"text":"b"},{"id":3,"text":"c"}"#)
        #expect(answer.count("inserted") == 2)
        #expect(answer.count("failed") == 1)
    }

    @Test func aTextWithoutAVectorCostsItsNeighboursNothing() async throws {
        let answer = try await api.upsert(
            #"{"id":1,"text":"a"},{"id":2,"text":"NOTFINITE"},{"id":3,"text":"b"}"#)
        #expect(answer.count("inserted") == 2 && answer.count("failed") == 1)
        #expect(
            answer.object["errors"] == [
                ["index": 1, "id": "2", "message": "the model gave a vector that is not finite"]
            ])
        #expect(api.embedder.requests.count == 1)
    }

    @Test func smallUpsertsAreInteractive() async throws {
        _ = try await api.upsert(#"{"id":1,"text":"a"}"#)
        _ = try await api.upsert((0..<17).map { #"{"id":\#($0),"text":"t\#($0)"}"# }.joined(separator: ","))
        _ = try await api.lines(#"{"id":1,"text":"b"}"#)
        #expect(api.embedder.requests.map(\.lane) == [.interactive, .bulk, .bulk])
    }

    @Test func errorsAreCappedAndCounted() async throws {
        let api = try await API { $0.maxReportedErrors = 2 }.prepared()
        let answer = try await api.lines("x", "y", "z", #"{"id":1,"text":"a"}"#)
        #expect(answer.count("failed") == 3)
        #expect(answer.object["errors"]?.array?.count == 2)
    }

    @Test(arguments: ["{}", #"{"documents":[]}"#, #"{"documents":null}"#, #"{"documents":{}}"#, #"{"documents":"a"}"#])
    func emptyOrWrongListsAreRefused(body: String) async throws {
        let answer = try await api.send(.post, "/v1/collections/demo/documents", body)
        #expect(answer.status == 400)
        #expect(answer.field == "documents")
    }

    @Test func emptyStreamIsRefused() async throws {
        #expect(try await api.lines("", " ").status == 400)
    }

    @Test func otherModelsCollectionIs409NamingBoth() async throws {
        let other = API(embedder: HashEmbedder(name: "other", fingerprint: 9), store: api.store)
        for answer in [try await other.upsert(#"{"id":1,"text":"a"}"#), try await other.search(#"{"query":"a"}"#)] {
            #expect(answer.status == 409)
            #expect(answer.message.contains("test/hash-model") && answer.message.contains("'other'"))
        }
    }

    @Test func unknownCollectionIs404() async throws {
        #expect(try await api.upsert(#"{"id":1,"text":"a"}"#, collection: "none").code == "collection_not_found")
        #expect(try await api.lines(#"{"id":1,"text":"a"}"#, collection: "none").status == 404)
    }
}
