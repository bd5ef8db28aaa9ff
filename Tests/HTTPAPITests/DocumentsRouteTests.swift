import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct DocumentsRouteTests {
    let api: API
    let documents = "/v1/collections/demo/documents"

    init() async throws {
        api = try await API().prepared()
    }

    @Test func collectionLifeCycle() async throws {
        let created = try await api.send(.put, "/v1/collections/books", #"{"model":"alias","metric":"cosine"}"#)
        #expect(created.status == 201)
        #expect(
            created.json == [
                "name": "books", "model": "test/hash-model", "dimensions": 8, "metric": "cosine", "documents": 0,
            ])
        #expect(try await api.send(.put, "/v1/collections/books").status == 200)
        #expect(try await api.send(.put, "/v1/collections/books", "{}").status == 200)
        #expect(try await api.send(.get, "/v1/collections/books").json == created.json)
        let list = try await api.send(.get, "/v1/collections")
        #expect(list.object["data"]?.array?.map { $0.object?["name"] } == ["books", "demo"])
        #expect(
            list.object["data"]?.array?.first == [
                "name": "books", "model": "test/hash-model", "dimensions": 8, "metric": "cosine",
            ])
        let other = API(embedder: HashEmbedder(name: "other", fingerprint: 9), store: api.store)
        let conflict = try await other.send(.put, "/v1/collections/books")
        #expect(conflict.status == 409)
        #expect(conflict.message.contains("test/hash-model") && conflict.message.contains("'other'"))
        #expect(try await api.send(.delete, "/v1/collections/books").json == ["deleted": true])
        #expect(try await api.send(.get, "/v1/collections/books").code == "collection_not_found")
        #expect(try await api.send(.delete, "/v1/collections/books").status == 404)
    }

    @Test(arguments: [
        (#"{"metric":"l2"}"#, "metric", 400), (#"{"model":"none"}"#, "model", 404),
        (#"{"metrik":"cosine"}"#, "metrik", 400),
        (#"{"model":["a"]}"#, "model", 400),
    ])
    func wrongCollectionsAreRefused(body: String, field: String, status: Int) async throws {
        let answer = try await api.send(.put, "/v1/collections/new", body)
        #expect(answer.status == status)
        #expect(answer.field == field)
    }

    @Test(arguments: ["A", "a.b", "%20", "a%2Fb", "%C3%A9", "a%00", "'%3B--", String(repeating: "a", count: 64)])
    func badCollectionNamesAreRefused(name: String) async throws {
        for method in [HTTPRequest.Method.put, .get, .delete] {
            let answer = try await api.send(method, "/v1/collections/\(name)")
            #expect(answer.status == 400)
            #expect(answer.message.contains("63"))
        }
    }

    @Test(arguments: [
        ("a/b", "a%2Fb"), ("a/b", "a/b"), ("100%", "100%25"), ("why?", "why%3F"), ("a b+c", "a%20b+c"), ("é", "%C3%A9"),
        ("..", "%2E%2E"), ("delete", "delete"), ("'; DROP TABLE x; --", "%27;%20DROP%20TABLE%20x;%20--"),
        ("#&=", "%23%26%3D"), ("\u{301}x", "%CC%81x"), ("\u{301}x", "\u{301}x"),
    ])
    func idsRoundTrip(id: String, path: String) async throws {
        #expect(
            try await api.upsert((["id": .string(id), "text": "t"] as JSONValue).serialized).count("inserted") == 1)
        let found = try await api.send(.get, "\(documents)/\(path)")
        #expect(
            found.json == ["id": .string(id), "text": "t", "metadata": [:], "token_count": 1, "truncated": false])
        #expect(try await api.send(.delete, "\(documents)/\(path)").json == ["deleted": 1])
        #expect(try await api.send(.get, "\(documents)/\(path)").code == "document_not_found")
        #expect(try await api.send(.delete, "\(documents)/\(path)").status == 404)
    }

    @Test(arguments: ["%", "%zz", "%ff", "%00", String(repeating: "i", count: 513)])
    func impossibleIDsAreRefused(path: String) async throws {
        #expect(try await api.send(.get, "\(documents)/\(path)").status == 400)
    }

    @Test func pagesFollowEachOther() async throws {
        _ = try await api.upsert((0..<7).map { #"{"id":"a+\#($0)","text":"t"}"# }.joined(separator: ","))
        let first = try await api.send(.get, "\(documents)?limit=4")
        #expect(first.object["data"]?.array?.count == 4)
        #expect(first.object["next"] == "a+3")
        let second = try await api.send(.get, "\(documents)?limit=4&after=a%2B3")
        #expect(second.object["data"]?.array?.map { $0.object?["id"] } == ["a+4", "a+5", "a+6"])
        #expect(second.object["next"] == .null)
    }

    @Test func pagesEndEarlyAtTheirBytes() async throws {
        let api = try await API { $0.bytesPerPage = 700 }.prepared()
        let text = String(repeating: "t", count: 200)
        _ = try await api.upsert((0..<7).map { #"{"id":"\#($0)","text":"\#(text)"}"# }.joined(separator: ","))
        var sizes: [Int] = []
        var seen: [JSONValue?] = []
        var query = ""
        while true {
            let page = try await api.send(.get, "\(documents)?limit=5\(query)")
            let data = try #require(page.object["data"]?.array)
            sizes.append(data.count)
            seen += data.map { $0.object?["id"] }
            guard let next = page.object["next"]?.string else { break }
            query = "&after=\(next)"
        }
        #expect(sizes == [3, 3, 1])
        #expect(seen == (0..<7).map { .string("\($0)") })
    }

    @Test func longPagesAreWhole() async throws {
        let ids = (100..<300).map { "\($0)" }
        _ = try await api.upsert(ids.map { #"{"id":"\#($0)","text":"t"}"# }.joined(separator: ","))
        for (limit, next) in [(64, "163"), (128, "227"), (199, "298"), (200, nil), (1_000, nil)] as [(Int, String?)] {
            let page = try await api.send(.get, "\(documents)?limit=\(limit)")
            #expect(page.object["data"]?.array?.compactMap { $0.object?["id"]?.string } == Array(ids.prefix(limit)))
            #expect(page.object["next"] == next.map { .string($0) } ?? .null)
        }
    }

    @Test func aTextOverTheLimitFailsAlone() async throws {
        let api = try await API { $0.maxTextBytes = 8 }.prepared()
        let answer = try await api.upsert(
            #"{"id":1,"text":"12345678"},{"id":2,"text":"1234567é"},{"id":3,"text":"a"}"#)
        #expect(answer.count("inserted") == 2)
        let error = try #require(answer.object["errors"]?.array?.first?.object)
        #expect(error["id"] == "2")
        #expect(error["message"] == "text has 9 bytes; at most 8 are taken")
    }

    @Test(arguments: ["limit=0", "limit=1001", "limit=ten", "limit=1.0", "after=", "after=%zz", "offset=3"])
    func wrongPagesAreRefused(query: String) async throws {
        #expect(try await api.send(.get, "\(documents)?\(query)").status == 400)
    }

    @Test func deletesByIDsOrFilter() async throws {
        _ = try await api.upsert(
            (0..<6).map { #"{"id":\#($0),"text":"t","metadata":{"n":\#($0)}}"# }.joined(separator: ","))
        #expect(try await api.send(.post, "\(documents)/delete", #"{"ids":["0",1,"none"]}"#).json == ["deleted": 2])
        #expect(
            try await api.send(.post, "\(documents)/delete", #"{"filter":{"n":{"$gte":4}}}"#).json == ["deleted": 2])
        #expect(try await api.send(.get, "/v1/collections/demo").count("documents") == 2)
    }

    @Test(arguments: [
        "{}", #"{"ids":[]}"#, #"{"ids":"a"}"#, #"{"ids":[true]}"#, #"{"ids":[""]}"#, #"{"filter":{}}"#,
        #"{"filter":{"a":1},"ids":["a"]}"#, #"{"filters":{"a":1}}"#, #"{"ids":["a"],"dry_run":true}"#,
    ])
    func wrongDeletionsAreRefused(body: String) async throws {
        _ = try await api.upsert(#"{"id":"a","text":"t"}"#)
        #expect(try await api.send(.post, "\(documents)/delete", body).status == 400)
        #expect(try await api.send(.get, "/v1/collections/demo").count("documents") == 1)
    }

    @Test func withoutADatabaseEveryStorageRouteIs501() async throws {
        let api = API(store: nil)
        let routes: [(HTTPRequest.Method, String)] = [
            (.put, ""), (.get, ""), (.delete, ""), (.post, "/documents"), (.get, "/documents"), (.get, "/documents/a"),
            (.delete, "/documents/a"), (.post, "/documents/delete"), (.post, "/search"),
        ]
        for (method, path) in routes {
            let body = method == .post ? #"{"documents":[{"id":1,"text":"a"}]}"# : nil
            let wanted = path == "/search" ? #"{"query":"a"}"# : body
            let answer = try await api.send(method, "/v1/collections/demo\(path)", wanted)
            #expect(answer.status == 501, "\(method) \(path)")
            #expect(answer.message.contains("--database-url"))
        }
        #expect(try await api.send(.get, "/v1/collections").status == 501)
        #expect(try await api.embeddings(#"{"input":"a"}"#).status == 200)
    }

    @Test func everyStorageErrorHasItsStatusAndKeepsItsDetails() async throws {
        let statuses: [(StorageError, Int)] = [
            (.unavailable(details: "10.0.0.7"), 503), (.notWritable(details: "10.0.0.7"), 503),
            (.internalFailure(details: "10.0.0.7"), 500),
        ]
        for (error, status) in statuses {
            await api.store?.fail(error)
            for path in ["/v1/collections", "/v1/collections/demo", "\(documents)/a", documents] {
                let answer = try await api.send(.get, path)
                #expect(answer.status == status)
                #expect(!answer.text.contains("10.0.0.7"))
                #expect(answer.error["type"] == "server_error")
            }
        }
        #expect(try await api.embeddings(#"{"input":"a"}"#).status == 200)
    }
}
