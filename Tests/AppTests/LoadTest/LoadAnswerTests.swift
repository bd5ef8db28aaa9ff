import App
import NIOCore
import NIOHTTP1
import Testing

struct LoadAnswerTests {
    private static func tokens(_ body: String) -> Int? {
        LoadAnswer.promptTokens(of: ByteBuffer(string: body).readableBytesView)
    }

    @Test(arguments: [
        (#"{"data":[],"usage":{"prompt_tokens":812,"total_tokens":813},"truncated":[1,2]}"#, 812),
        (#"{"usage": { "prompt_tokens" : 7 , "total_tokens": 9}, "data": []}"#, 7),
        (#"{"usage":{"total_tokens":9,"prompt_tokens":0}}"#, 0),
        (#"{"usage":{"prompt_tokens":null}}"#, nil), (#"{"usage":{"total_tokens":9}}"#, nil), ("", nil), ("{", nil),
        (#""prompt_tokens""#, nil), (#"{"usage":{"prompt_tokens":9999999999999999999999}}"#, 1 << 32),
    ])
    func tokensAreFoundWithoutReadingVectors(body: String, count: Int?) {
        #expect(Self.tokens(body) == count)
    }

    @Test func tokensAreFoundOnEitherSideOfTheVectors() {
        let vectors = String(repeating: "0.125,", count: 50_000)
        #expect(Self.tokens(#"{"data":[\#(vectors)0],"usage":{"prompt_tokens":12}}"#) == 12)
        #expect(Self.tokens(#"{"usage":{"prompt_tokens":13},"data":[\#(vectors)0]}"#) == 13)
        #expect(Self.tokens(#"{"data":[\#(vectors)0],"usage":{"prompt_tokens":14},"data":[\#(vectors)0]}"#) == nil)
    }

    @Test(arguments: [
        (#"{"error":{"message":"m","type":"t","code":"queue_full"}}"#, "queue_full"),
        (#"{"error":{"message":"m","type":"overloaded","code":null}}"#, "overloaded"),
        (#"{"error":{"code":429}}"#, "429"), (#"{"detail":"no"}"#, ""), ("<html>", ""), ("", ""),
        (#"{"error":"Model is overloaded"}"#, ""),
    ])
    func refusalsTellTheirCode(body: String, code: String) {
        let answer = LoadAnswer(
            head: HTTPResponseHead(version: .http1_1, status: .tooManyRequests), body: ByteBuffer(string: body))
        #expect(answer.code == code && !answer.isSuccess && answer.tokenCount == nil)
    }

    @Test(
        arguments: [
            ([], nil), ([("Retry-After", "3")], 3_000), ([("retry-after", "3"), ("Retry-After-Ms", "2500")], 2_500),
            ([("Retry-After", "Sun, 29 Nov 2026 14:00:00 GMT")], nil), ([("Retry-After", "-1")], nil),
        ] as [([(String, String)], Int?)])
    func thePauseIsTheFinerOfBothHeaders(headers: [(String, String)], milliseconds: Int?) {
        let answer = LoadAnswer(
            head: HTTPResponseHead(version: .http1_1, status: .tooManyRequests, headers: HTTPHeaders(headers)),
            body: ByteBuffer())
        #expect(answer.pause == milliseconds.map { .milliseconds($0) })
    }

    @Test(arguments: [("12.5", 12.5), ("0", 0), ("-1", nil), ("soon", nil), ("inf", nil)] as [(String, Double?)])
    func aPromiseIsAFiniteTime(text: String, milliseconds: Double?) {
        let answer = LoadAnswer(
            head: HTTPResponseHead(version: .http1_1, status: .ok, headers: ["X-Queue-Eta-Ms": text]),
            body: ByteBuffer())
        #expect(answer.queueETAMilliseconds == milliseconds)
    }
}

struct AnswerCheckTests {
    private static func complaints(_ bodies: [(String, Int)]) -> [String?] {
        var check = AnswerCheck()
        return bodies.map { check.complaint(Array($0.utf8), textCount: $1) }
    }

    private static func body(_ vectors: [String]) -> String {
        let items = vectors.enumerated().map { #"{"index":\#($0),"embedding":\#($1)}"# }
        return #"{"data":[\#(items.joined(separator: ","))]}"#
    }

    @Test func rightAnswersPassInBothEncodings() {
        // AACAPwAAAMA= are the floats 1 and -2.
        #expect(
            Self.complaints([(Self.body(["[1,-2]", "[0,0.5]"]), 2), (Self.body([#""AACAPwAAAMA=""#]), 1)]) == [
                nil, nil,
            ])
    }

    @Test(arguments: [
        ("<html>", 1), ("{}", 1), (body(["[1]"]), 2), (body(["[0,0]"]), 1), (body(["[]"]), 1), (body(["[1e999]"]), 1),
        (body([#""AACAfw==""#]), 1), (body([#""AA==""#]), 1), (body([#"["1"]"#]), 1), (body(["null"]), 1),
        (#"{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[1]}]}"#, 2), (body(["[1,2]", "[1]"]), 2),
    ])
    func wrongAnswersAreTold(body: String, textCount: Int) {
        #expect(Self.complaints([(body, textCount)]).allSatisfy { $0 != nil })
    }

    @Test func allAnswersHaveOneWidth() {
        #expect(
            Self.complaints([(Self.body(["[1,2]"]), 1), (Self.body(["[1,2,3]"]), 1)]) == [
                nil, "vectors of several widths",
            ])
    }
}
