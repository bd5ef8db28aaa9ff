import Embeddings
import HTTPAPI
import JSON
import Testing

struct SearchRouteTests {
    let api: API

    init() async throws {
        api = try await API().prepared()
        _ = try await api.upsert(
            #"""
            {"id":"a","text":"red bird","metadata":{"n":1,"who":{"name":"Ann"}}},
            {"id":"b","text":"blue fish","metadata":{"n":2,"tag":"x"}},
            {"id":"c","text":"green tree","metadata":{"n":3,"tag":"y"}}
            """#)
    }

    private func ids(_ body: String) async throws -> [String] {
        let answer = try await api.search(body)
        #expect(answer.status == 200, "\(answer.text)")
        return answer.object["results"]?.array?.compactMap { $0.object?["id"]?.string } ?? []
    }

    @Test func findsTheNearestFirst() async throws {
        let answer = try await api.search(#"{"query":"blue fish"}"#)
        let best = try #require(answer.object["results"]?.array?.first?.object)
        #expect(best["id"] == "b")
        #expect(best["text"] == "blue fish")
        #expect(best["metadata"] == ["n": 2, "tag": "x"])
        #expect(best["vector"] == nil)
        let score = try #require(best["score"]?.number?.value)
        #expect(abs(score - 1) < 1e-3)
        #expect(api.embedder.requests.last?.role == .query)
    }

    @Test func vectorsCanBeAskedForAndSearchedBy() async throws {
        let answer = try await api.search(#"{"query":"green tree","k":1,"include":["vector"]}"#)
        let vector = try #require(answer.object["results"]?.array?.first?.object?["vector"])
        #expect(vector.array?.count == HashEmbedder.dimensions)
        #expect(try await ids(#"{"vector":\#(vector.serialized),"k":1}"#) == ["c"])
    }

    @Test func vectorSearchNeedsNoModel() async throws {
        let other = API(embedder: HashEmbedder(name: "other", fingerprint: 9), store: api.store)
        #expect(try await other.search(#"{"vector":[1,0,0,0,0,0,0,0]}"#).status == 200)
    }

    @Test func kLimitsTheResults() async throws {
        #expect(try await ids(#"{"query":"x","k":2}"#).count == 2)
        #expect(try await ids(#"{"query":"x"}"#).count == 3)
    }

    @Test(arguments: [
        (#"{}"#, ["a", "b", "c"]), (#"{"n":2}"#, ["b"]), (#"{"n":{"$eq":2}}"#, ["b"]),
        (#"{"n":{"$ne":2}}"#, ["a", "c"]),
        (#"{"tag":{"$in":["x","z"]}}"#, ["b"]), (#"{"n":{"$gt":1,"$lt":3}}"#, ["b"]),
        (#"{"n":{"$gte":2}}"#, ["b", "c"]),
        (#"{"n":{"$lte":1}}"#, ["a"]), (#"{"tag":{"$exists":false}}"#, ["a"]), (#"{"who.name":"Ann"}"#, ["a"]),
        (#"{"n":2,"tag":"y"}"#, []), (#"{"$and":[{"n":2},{"tag":"x"}]}"#, ["b"]),
        (#"{"$or":[{"n":1},{"tag":"y"}]}"#, ["a", "c"]),
        (#"{"$not":{"n":1}}"#, ["b", "c"]), (#"{"$or":[{"n":1}],"tag":{"$exists":false}}"#, ["a"]),
    ])
    func filtersChoose(filter: String, expected: [String]) async throws {
        #expect(try await ids(#"{"query":"x","filter":\#(filter)}"#).sorted() == expected)
    }

    @Test(arguments: [
        "0", "-1", "1001", "1.0", "1e1", #""5""#, "true", "[1]", "{}", "1e400", "99999999999999999999",
    ])
    func wrongKIsRefused(k: String) async throws {
        let answer = try await api.search(#"{"query":"x","k":\#(k)}"#)
        #expect(answer.status == 400)
        #expect(answer.field == "k")
        #expect(answer.message.contains("1 to 1000"))
    }

    @Test(arguments: [
        (#"{}"#, "query"), (#"{"query":""}"#, "query"), (#"{"query":5}"#, "query"), (#"{"query":"\ud800"}"#, "query"),
        (#"{"query":"x","vector":[1]}"#, "query"), (#"{"vector":"x"}"#, "vector"), (#"{"vector":[]}"#, "vector"),
        (#"{"vector":[1,2]}"#, "vector"), (#"{"vector":[0,0,0,0,0,0,0,0]}"#, "vector"),
        (#"{"vector":[1,0,0,0,0,0,0,1e39]}"#, "vector[7]"), (#"{"vector":[1,0,0,0,0,0,0,1e400]}"#, "vector[7]"),
        (#"{"vector":["1"]}"#, "vector[0]"), (#"{"query":"x","include":["text"]}"#, "include"),
        (#"{"query":"x","include":"vector"}"#, "include"), (#"{"query":"x","filters":{}}"#, "filters"),
        (#"{"query":"x","filter":[]}"#, "filter"), (#"{"query":"x","filter":"n=1"}"#, "filter"),
    ])
    func wrongSearchesAreNamed(body: String, field: String) async throws {
        let answer = try await api.search(body)
        #expect(answer.status == 400)
        #expect(answer.field == field)
    }

    @Test func wrongLengthNamesBoth() async throws {
        let message = try await api.search(#"{"vector":[1,2]}"#).message
        #expect(message.contains("2 values") && message.contains("8 dimensions"))
    }

    @Test(arguments: [
        (#"{"n":{"$near":1}}"#, "$near"), (#"{"$nor":[{"n":1}]}"#, "$nor"), (#"{"n":{"name":1}}"#, "name"),
        (#"{"$and":[]}"#, "$and"), (#"{"$and":{"n":1}}"#, "$and"), (#"{"$and":[5]}"#, "$and"),
        (#"{"$not":[]}"#, "$not"),
        (#"{"n":{}}"#, "n"), (#"{"n":[1]}"#, "n"), (#"{"n":{"$in":[]}}"#, "$in"), (#"{"n":{"$in":1}}"#, "$in"),
        (#"{"n":{"$in":[[1]]}}"#, "$in"), (#"{"n":{"$gt":true}}"#, "$gt"), (#"{"n":{"$gt":null}}"#, "$gt"),
        (#"{"n":{"$exists":1}}"#, "$exists"), (#"{"n":1e400}"#, "range"), (#"{"n":"\u0000"}"#, "NUL"),
        (#"{"n":"\ud800"}"#, "surrogate"), (#"{"a..b":1}"#, "empty"), (#"{"":1}"#, "empty"), (#"{"a\u0000":1}"#, "NUL"),
        (#"{"$not":{}}"#, "empty"),
    ])
    func wrongFiltersAreNamed(filter: String, word: String) async throws {
        let answer = try await api.search(#"{"query":"x","filter":\#(filter)}"#)
        #expect(answer.status == 400)
        #expect((answer.message + (answer.field ?? "")).contains(word), "\(answer.text)")
    }

    @Test func filtersHaveLimits() async throws {
        func nested(_ depth: Int) -> String {
            String(repeating: #"{"$not":"#, count: depth) + #"{"n":1}"# + String(repeating: "}", count: depth)
        }
        #expect(try await api.search(#"{"query":"x","filter":\#(nested(15))}"#).status == 200)
        #expect(try await api.search(#"{"query":"x","filter":\#(nested(16))}"#).status == 400)
        #expect(try await api.search(#"{"query":"x","filter":\#(nested(60))}"#).status == 400)
        func conditions(_ count: Int) -> String {
            #"{"$or":[\#(Array(repeating: #"{"n":1}"#, count: count).joined(separator: ","))]}"#
        }
        #expect(try await api.search(#"{"query":"x","filter":\#(conditions(256))}"#).status == 200)
        #expect(try await api.search(#"{"query":"x","filter":\#(conditions(257))}"#).status == 400)
        func choices(_ count: Int) -> String {
            #"{"n":{"$in":[\#(Array(repeating: "1", count: count).joined(separator: ","))]}}"#
        }
        #expect(try await api.search(#"{"query":"x","filter":\#(choices(1_000))}"#).status == 200)
        #expect(try await api.search(#"{"query":"x","filter":\#(choices(1_001))}"#).status == 400)
        func path(_ partCount: Int) -> String {
            #"{"\#(Array(repeating: "a", count: partCount).joined(separator: "."))":1}"#
        }
        #expect(try await api.search(#"{"query":"x","filter":\#(path(16))}"#).status == 200)
        #expect(try await api.search(#"{"query":"x","filter":\#(path(17))}"#).status == 400)
    }

    @Test func anUnknownFieldIsNotRepeatedWhole() async throws {
        let field = String(repeating: "f", count: 100_000)
        let answer = try await api.search(#"{"query":"x","\#(field)":1}"#)
        #expect(answer.status == 400)
        #expect(answer.text.utf8.count < 1_000)
    }
}
