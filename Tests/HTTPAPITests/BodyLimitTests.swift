import HTTPAPI
import JSON
import Testing

struct BodyLimitTests {
    /// Above what is parsed where the request runs.
    private let padding = String(repeating: " ", count: 300 << 10)

    @Test(arguments: [false, true]) func aBodyHoldsABoundedNumberOfValues(isLong: Bool) async throws {
        let api = API { $0.maxValues = 4 }
        let space = isLong ? padding : ""
        #expect(try await api.embeddings(#"{"input":\#(space)["a","b"]}"#).status == 200)
        let answer = try await api.embeddings(#"{"input":\#(space)["a","b","c"]}"#)
        #expect(answer.status == 400)
        #expect(answer.code == "invalid_json")
        #expect(answer.message.contains("more than 4 values"))
    }

    @Test func aLongBodysFaultIsNamedAtItsByte() async throws {
        let answer = try await API().embeddings(padding + "]")
        #expect(answer.status == 400)
        #expect(answer.message.contains("at byte \(padding.utf8.count)"))
    }

    @Test func aLineOfTooManyValuesFailsAlone() async throws {
        let api = try await API { $0.maxValues = 8 }.prepared()
        let answer = try await api.lines(
            #"{"id":1,"text":"a"}"#, #"{"id":2,"text":"a","metadata":{"n":[1,2,3,4,5,6,7,8]}}"#, #"{"id":3,"text":"b"}"#
        )
        #expect(answer.count("inserted") == 2)
        #expect(answer.count("failed") == 1)
        #expect(answer.text.contains("more than 8 values"))
    }
}
