import Embeddings
import HTTPAPI
import JSON
import MetricsTestKit
import Testing

/// `"on_error":"per_item"`.
struct PerItemTests {
    let api = API()

    private func send(_ input: String, _ more: String = "") async throws -> API.Answer {
        try await api.embeddings(#"{"input":\#(input),"on_error":"per_item"\#(more)}"#)
    }

    private func items(_ answer: API.Answer) -> [JSONObject] {
        answer.object["data"]?.array?.compactMap(\.object) ?? []
    }

    private func fault(of item: JSONObject) -> JSONObject? { item["error"]?.object }

    @Test func everyInputKeepsItsPlace() async throws {
        let answer = try await send(#"["one two","",5,"three",null,{},["a"],"\ud800",true,"four"]"#)
        #expect(answer.status == 200)
        let items = items(answer)
        #expect(items.map { $0["index"] } == (0..<10).map { .number(JSONNumber($0)) })
        #expect(items.allSatisfy { $0["object"] == "embedding" })
        let failed = [1, 2, 4, 5, 6, 7, 8]
        #expect(answer.object["errors"] == .array(failed.map { .number(JSONNumber($0)) }))
        for (index, item) in items.enumerated() {
            if failed.contains(index) {
                #expect(item["embedding"] == .null)
                let described = try #require(fault(of: item))
                #expect(described.members.map(\.key) == ["message", "type", "param", "code"])
                #expect(described["param"] == .string("input[\(index)]"))
                #expect(described["type"] == "invalid_request_error")
            } else {
                #expect(item["embedding"]?.array?.count == HashEmbedder.dimensions)
                #expect(item["error"] == nil)
            }
        }
        #expect(fault(of: items[1])?["message"] == "input[1] is an empty string")
        #expect(fault(of: items[2])?["message"] == "input[2] must be a string, not a number")
        #expect(api.embedder.embeddedTexts == ["one two", "three", "four"])
        #expect(api.embedder.requests.map(\.failurePolicy) == [.perInput])
        #expect(answer.object["usage"] == ["prompt_tokens": 4, "total_tokens": 4, "truncated_inputs": 0])
    }

    @Test func vectorsAreThoseOfACallWithoutTheBadOnes() async throws {
        let mixed = items(try await send(#"["","one two","NOTFINITE","three"]"#))
        let plain = items(try await api.embeddings(#"{"input":["one two","three"]}"#))
        #expect([mixed[1], mixed[3]].map { $0["embedding"] } == plain.map { $0["embedding"] })
    }

    @Test func whatTheEncoderRefusesIsNamedByItsPlaceInTheBody() async throws {
        let answer = try await send(#"["","a b c d e f g","x",3,"NOTFINITE","1 2 3 4 5 6"]"#, #","truncate":"none""#)
        #expect(answer.status == 200)
        #expect(answer.object["errors"] == [0, 1, 3, 4])
        let tooLong = try #require(fault(of: items(answer)[1]))
        #expect(tooLong["code"] == "context_length_exceeded" && tooLong["param"] == "input[1]")
        #expect(tooLong["message"]?.string?.hasPrefix("input 1 ") == true)
        let notFinite = try #require(fault(of: items(answer)[4]))
        #expect(notFinite["code"] == "vector_not_finite" && notFinite["param"] == "input[4]")
        #expect(notFinite["type"] == "server_error")
        #expect(notFinite["message"]?.string?.hasSuffix("input 4") == true)
        #expect(answer.object["usage"]?.object?["prompt_tokens"] == 7)
    }

    @Test func cutTextsKeepTheirPlaceToo() async throws {
        let answer = try await send(#"["","a b c d e f g","b"]"#)
        #expect(answer.object["truncated"] == [1])
        #expect(answer.object["errors"] == [0])
    }

    @Test func tokenIDsFailAlone() async throws {
        let answer = try await send(#"[[1,2],[],[1.5],[200],[3],"a",[1e400],[-1]]"#, #","token_ids":"model""#)
        #expect(answer.status == 200)
        #expect(answer.object["errors"] == [1, 2, 3, 6, 7])
        #expect(fault(of: items(answer)[3])?["code"] == "invalid_token")
        #expect(fault(of: items(answer)[3])?["param"] == "input[3]")
        let one = try await send("[1,1.5]", #","token_ids":"model""#)
        #expect(one.status == 200 && one.object["errors"] == [0])
        #expect(try await send("[1,2]", #","token_ids":"model""#).object["errors"] == [])
    }

    @Test(arguments: ["float", "base64"]) func aFailedInputIsNullInEveryEncoding(encoding: String) async throws {
        let answer = try await send(#"["","a"]"#, #","dimensions":3,"encoding_format":"\#(encoding)""#)
        #expect(items(answer)[0]["embedding"] == .null)
        switch items(answer)[1]["embedding"] {
        case .string(let text)?: #expect(encoding == "base64" && text.utf8.count == 16)
        case .array(let values)?: #expect(encoding == "float" && values.count == 3)
        case let other: Issue.record("\(String(describing: other))")
        }
    }

    @Test(arguments: [#""""#, #"["",""]"#, #""\udc00""#, "[5,true]", "[null]"])
    func theEncoderIsNotAskedForNothing(input: String) async throws {
        let answer = try await send(input)
        #expect(answer.status == 200)
        #expect(items(answer).allSatisfy { $0["embedding"] == .null && $0["error"] != nil })
        #expect(answer.object["usage"] == ["prompt_tokens": 0, "total_tokens": 0, "truncated_inputs": 0])
        #expect(api.embedder.requests.isEmpty)
    }

    @Test(arguments: [
        ("null", "input"), ("[]", "input"), ("5", "input"), ("{}", "input"), ("true", "input"), ("[1,2]", "input"),
        (#"["a","a","a","a","a"]"#, "input"),
    ])
    func whatIsWrongAsAWholeIsRefusedAsAWhole(input: String, field: String) async throws {
        let api = API { $0.maxInputs = 4 }
        let answer = try await api.embeddings(#"{"input":\#(input),"on_error":"per_item"}"#)
        #expect(answer.status == 400)
        #expect(answer.field == field)
        #expect(api.embedder.requests.isEmpty)
    }

    @Test func whatBefallsTheCallIsRefusedAsAWhole() async throws {
        api.embedder.failNext(.overloaded(retryAfter: .seconds(1)), .requestTooLarge(tokenCount: 9, limit: 8))
        #expect(try await send(#"["a",""]"#).status == 429)
        #expect(try await send(#"["a",""]"#).status == 413)
    }

    @Test func withoutItNothingIsDifferent() async throws {
        for mode in ["", #","on_error":"fail""#, #","on_error":null"#] {
            #expect(try await api.embeddings(#"{"input":["a",""]\#(mode)}"#).field == "input[1]")
            #expect(try await api.embeddings(#"{"input":["a","NOTFINITE"]\#(mode)}"#).code == "vector_not_finite")
            #expect(try await api.embeddings(#"{"input":["a"]\#(mode)}"#).object["errors"] == nil)
        }
        #expect(api.embedder.requests.allSatisfy { $0.failurePolicy == .request })
    }

    @Test func failuresAreCountedByCode() async throws {
        let metrics = TestMetrics()
        let api = API(metrics: metrics)
        _ = try await api.embeddings(#"{"input":["a","","NOTFINITE",5],"on_error":"per_item"}"#)
        for (code, count) in [("invalid_value", Int64(2)), ("vector_not_finite", 1)] {
            #expect(
                try metrics.expectCounter("ovenbird_http_input_failures_total", [("code", code)]).totalValue == count)
        }
        #expect(throws: (any Error).self) {
            try metrics.expectCounter("ovenbird_http_errors_total", [("code", "invalid_value")])
        }
    }
}
