import Embeddings
import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct EmbeddingsRouteTests {
    let api = API()

    @Test func answersAsOpenAIDoes() async throws {
        let answer = try await api.embeddings(#"{"input":["one two","three"],"model":"alias","user":"u"}"#)
        #expect(answer.status == 200)
        #expect(answer.object["object"] == "list")
        #expect(answer.object["model"] == "test/hash-model")
        #expect(answer.object["usage"] == ["prompt_tokens": 3, "total_tokens": 3, "truncated_inputs": 0])
        #expect(answer.object["truncated"] == [])
        let data = try #require(answer.object["data"]?.array)
        #expect(data.map { $0.object?["index"] } == [0, 1])
        #expect(data.allSatisfy { $0.object?["object"] == "embedding" })
        #expect(data[0].object?["embedding"]?.array?.count == HashEmbedder.dimensions)
    }

    @Test func floatsReadBackAsTheSameBits() async throws {
        let expected = try await api.embedder.embed(EmbeddingRequest(inputs: [.text("one two")]))[0].vector
        let answer = try await api.embeddings(#"{"input":"one two","encoding_format":"float"}"#)
        #expect(Self.floats(answer) == expected.values)
    }

    @Test(arguments: 1...8) func base64HoldsTheSameFloats(dimensions: Int) async throws {
        let float = try await api.embeddings(#"{"input":"one two","dimensions":\#(dimensions)}"#)
        let base64 = try await api.embeddings(
            #"{"input":"one two","dimensions":\#(dimensions),"encoding_format":"base64"}"#)
        let text = try #require(base64.object["data"]?.array?.first?.object?["embedding"]?.string)
        #expect(text.utf8.count % 4 == 0)
        let bytes = try #require(Self.decodeBase64(text))
        #expect(bytes.count == 4 * dimensions)
        let values = stride(from: 0, to: bytes.count, by: 4).map { start in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
        }
        #expect(values == Self.floats(float))
    }

    @Test func dimensionsCutAndRenormalise() async throws {
        let values = Self.floats(try await api.embeddings(#"{"input":"one two","dimensions":3}"#))
        #expect(values.count == 3)
        #expect(abs(values.reduce(0) { $0 + $1 * $1 } - 1) < 1e-6)
    }

    @Test func cutTextsAreReported() async throws {
        let answer = try await api.embeddings(#"{"input":["a","a b c d e f g","b","1 2 3 4 5 6 7 8"]}"#)
        #expect(answer.object["truncated"] == [1, 3])
        #expect(answer.object["usage"]?.object?["truncated_inputs"] == 2)
    }

    @Test func truncateNoneRefusesNamingLimitAndIndex() async throws {
        let answer = try await api.embeddings(#"{"input":["a","a b c d e f g"],"truncate":"none"}"#)
        #expect(answer.status == 400)
        #expect(answer.code == "context_length_exceeded")
        #expect(answer.field == "input[1]")
        #expect(answer.message.contains("6"))
    }

    @Test func tokenIDsPassWhereTheClientSaysWhoseTheyAre() async throws {
        #expect(try await api.embeddings(#"{"input":[1,2],"token_ids":"model"}"#).status == 200)
        #expect(try await api.embeddings(#"{"input":[[1,2],[3]],"token_ids":"model"}"#).status == 200)
        #expect(api.embedder.requests.map(\.inputs) == [[.tokens([1, 2])], [.tokens([1, 2]), .tokens([3])]])
        let outside = try await api.embeddings(#"{"input":[[1],[200]],"token_ids":"model"}"#)
        #expect(outside.status == 400)
        #expect(outside.field == "input[1]")
    }

    @Test(arguments: ["[1,2]", "[[1,2]]", #"["a",[1]]"#])
    func tokenIDsAreRefusedNamingLangChain(input: String) async throws {
        let answer = try await api.embeddings(#"{"input":\#(input)}"#)
        #expect(answer.status == 400)
        #expect(answer.message.contains("check_embedding_ctx_length=False"))
    }

    @Test(arguments: [
        (#"{}"#, "input"), (#"{"input":null}"#, "input"), (#"{"input":""}"#, "input"), (#"{"input":[]}"#, "input"),
        (#"{"input":["a",""]}"#, "input[1]"), (#"{"input":["a",null]}"#, "input[1]"), (#"{"input":5}"#, "input"),
        (#"{"input":{"a":1}}"#, "input"), (#"{"input":["\ud800"]}"#, "input[0]"), (#"{"input":"\udc00x"}"#, "input"),
        (#"{"input":[true]}"#, "input[0]"), (#"{"input":[[]],"token_ids":"model"}"#, "input[0]"),
        (#"{"input":[1.5],"token_ids":"model"}"#, "input"), (#"{"input":[1e400],"token_ids":"model"}"#, "input"),
        (#"{"input":"a","token_ids":"openai"}"#, "token_ids"), (#"{"input":"a","model":5}"#, "model"),
        (#"{"input":"a","encoding_format":"hex"}"#, "encoding_format"),
        (#"{"input":"a","dimensions":0}"#, "dimensions"),
        (#"{"input":"a","dimensions":9}"#, "dimensions"), (#"{"input":"a","dimensions":"4"}"#, "dimensions"),
        (#"{"input":"a","dimensions":4.0}"#, "dimensions"), (#"{"input":"a","dimensions":true}"#, "dimensions"),
        (#"{"input":"a","truncate":"start"}"#, "truncate"), (#"{"input":"a","truncate":true}"#, "truncate"),
        (#"{"input":"a","priority":1}"#, "priority"), (#"{"input":"a","priority":"urgent"}"#, "priority"),
        (#"{"input":"a","on_error":"skip"}"#, "on_error"), (#"{"input":"a","on_error":true}"#, "on_error"),
        (#"{"input":"a","on_error":["per_item"]}"#, "on_error"), (#"{"input":"a","on_error":"PER_ITEM"}"#, "on_error"),
    ])
    func wrongValuesAreNamed(body: String, field: String) async throws {
        let answer = try await api.embeddings(body)
        #expect(answer.status == 400)
        #expect(answer.field == field)
        #expect(answer.error["type"] == "invalid_request_error")
        #expect(api.embedder.requests.isEmpty)
    }

    @Test func tooManyInputsAreRefused() async throws {
        let api = API { $0.maxInputs = 3 }
        #expect(try await api.embeddings(#"{"input":["a","a","a"]}"#).status == 200)
        let answer = try await api.embeddings(#"{"input":["a","a","a","a"]}"#)
        #expect(answer.status == 400)
        #expect(answer.message.contains("3"))
    }

    @Test func unknownModelIs404() async throws {
        let answer = try await api.embeddings(#"{"input":"a","model":"gpt"}"#)
        #expect(answer.status == 404)
        #expect(answer.code == "model_not_found")
        #expect(answer.message.contains("gpt") && answer.message.contains("test/hash-model"))
    }

    @Test(arguments: [
        "", " ", "{", #"{"input""#, #"{"input":"a"} x"#, #"{"input":'a'}"#, "\u{0}", #"{"input":"\x"}"#, #"{"a":01}"#,
        "{\"input\":\"a\nb\"}",
    ])
    func brokenJSONNamesTheByte(body: String) async throws {
        let answer = try await api.embeddings(body)
        #expect(answer.status == 400)
        #expect(answer.code == "invalid_json")
        #expect(answer.message.contains("at byte"))
    }

    @Test(arguments: ["[]", "5", "null", #""text""#, #"{"\ud800":1}"#])
    func bodyMustBeAnObject(body: String) async throws {
        let answer = try await api.embeddings(body)
        #expect(answer.status == 400)
        #expect(answer.code == "invalid_value")
    }

    @Test(arguments: [65, 1_000, 100_000]) func deepNestingIsRefused(depth: Int) async throws {
        let body = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        let answer = try await api.embeddings(#"{"input":\#(body)}"#)
        #expect(answer.status == 400)
        #expect(answer.message.contains("nested deeper"))
    }

    @Test func nulReachesTheModel() async throws {
        #expect(try await api.embeddings(#"{"input":"a\u0000b"}"#).status == 200)
        #expect(api.embedder.embeddedTexts == ["a\0b"])
    }

    @Test func bodiesOverTheLimitAre413() async throws {
        let api = API { $0.maxBodyBytes = 100 }
        let long = String(repeating: "x", count: 100)
        let answer = try await api.send(
            .post, "/v1/embeddings", pieces: [Array(#"{"input":""#.utf8), Array(long.utf8)])
        #expect(answer.status == 413)
        #expect(answer.message.contains("100"))
        let announced = try await api.send(
            .post, "/v1/embeddings", pieces: [[]], headers: [.contentLength: "1000000000000"])
        #expect(announced.status == 413)
    }

    @Test(arguments: ["text/plain", "application/x-www-form-urlencoded", "application/x-ndjson", "json", ""])
    func otherContentTypesAre415(type: String) async throws {
        let answer = try await api.send(.post, "/v1/embeddings", #"{"input":"a"}"#, type: type)
        #expect(answer.status == 415)
        #expect(answer.message.contains("application/json"))
    }

    @Test func missingContentTypeIs415AndParametersAreAccepted() async throws {
        #expect(try await api.send(.post, "/v1/embeddings", #"{"input":"a"}"#, type: nil).status == 415)
        let answer = try await api.send(
            .post, "/v1/embeddings", #"{"input":"a"}"#, type: "Application/JSON; charset=utf-8")
        #expect(answer.status == 200)
    }

    @Test func fullQueueIs429WithTheTimeToWait() async throws {
        let waits: [(Duration, seconds: String, milliseconds: String)] = [
            (.milliseconds(2_500), "3", "2500"), (.milliseconds(2_000), "2", "2000"),
            (.microseconds(2_000_001), "3", "2001"),
            (.milliseconds(40), "1", "40"), (.nanoseconds(1), "1", "1"), (.zero, "1", "1"),
        ]
        for (wait, seconds, milliseconds) in waits {
            api.embedder.failNext(.overloaded(retryAfter: wait))
            let answer = try await api.embeddings(#"{"input":"a"}"#)
            #expect(answer.status == 429)
            #expect(answer.code == "rate_limit_exceeded")
            #expect(answer.headers[.retryAfter] == seconds)
            #expect(answer.headers[try #require(HTTPField.Name("retry-after-ms"))] == milliseconds)
        }
    }

    @Test func retryAfterStaysWhereClientsHeedIt() async throws {
        api.embedder.failNext(.overloaded(retryAfter: .seconds(900)))
        #expect(try await api.embeddings(#"{"input":"a"}"#).headers[.retryAfter] == "120")
    }

    @Test func everyEmbeddingErrorHasItsStatus() async throws {
        let statuses: [(EmbeddingError, Int)] = [
            (.requestTooLarge(tokenCount: 9, limit: 8), 413), (.vectorNotFinite(index: 0), 500), (.shuttingDown, 503),
            (.cancelled, 499), (.deadlineExceeded, 503), (.deadlineUnreachable(retryAfter: .seconds(1)), 429),
            (.computeFailed(index: 0), 500),
        ]
        for (error, status) in statuses {
            api.embedder.failNext(error)
            #expect(try await api.embeddings(#"{"input":"a"}"#).status == status)
        }
    }

    @Test func modelsAreListed() async throws {
        let list = try await api.send(.get, "/v1/models")
        #expect(list.object["data"]?.array?.map { $0.object?["id"] } == ["test/hash-model", "alias"])
        #expect(try await api.send(.get, "/v1/models/test/hash-model").object["id"] == "test/hash-model")
        #expect(try await api.send(.get, "/v1/models/test%2Fhash-model").object["id"] == "test/hash-model")
        #expect(try await api.send(.get, "/v1/models/other").code == "model_not_found")
    }

    private static func floats(_ answer: API.Answer) -> [Float] {
        answer.object["data"]?.array?.first?.object?["embedding"]?.array?
            .compactMap { $0.number.flatMap { Float($0.literal) } } ?? []
    }

    private static func decodeBase64(_ text: String) -> [UInt8]? {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var bits = 0
        var accumulator = 0
        var bytes: [UInt8] = []
        for character in text where character != "=" {
            guard let digit = digits.firstIndex(of: character) else { return nil }
            accumulator = accumulator << 6 | digit
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(accumulator >> bits & 255))
                accumulator &= (1 << bits) - 1
            }
        }
        return bytes
    }
}
