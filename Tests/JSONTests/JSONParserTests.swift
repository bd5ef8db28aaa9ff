import JSON
import Testing

struct JSONParserTests {
    @Test(arguments: [
        "null", "true", "[1,2.5,-3e2]", #"{"a":{"b":[]},"c":"é\n\"\\"}"#, #""\u0001""#,
    ])
    func roundTrips(text: String) throws {
        #expect(try JSONValue(parsing: text).serialized == text)
    }

    @Test(arguments: [
        "", "{", "[1,]", "[1 2]", "{\"a\"}", "01", "1.", "1e", "tru", "\"a", "\"\\x\"", "\"\u{1}\"", "nullx", "{'a':1}",
        "-",
        "\"\\u12g4\"", "\"\\u12", "1 2",
    ])
    func refusesBrokenText(text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }

    @Test func aLoneSurrogateSpoilsOnlyItsOwnValue() throws {
        let value = try JSONValue(parsing: #"["\ud800","\ud83d\ude00",{"\udc00":1},"\ud800\u0041"]"#)
        let elements = try #require(value.array)
        #expect(elements[0] == .malformed(reason: "a string that holds a lone surrogate"))
        #expect(elements[1] == "😀")
        #expect(elements[2] == .malformed(reason: "a key that holds a lone surrogate"))
        #expect(elements[3] == .malformed(reason: "a string that holds a lone surrogate"))
    }

    @Test func bytesThatAreNotUTF8SpoilOnlyTheirOwnValue() throws {
        let value = try JSONValue(parsing: Array("[\"a".utf8) + [0xFF] + Array("\",1]".utf8))
        #expect(value == .array([.malformed(reason: "a string that is not valid UTF-8"), 1]))
    }

    @Test func refusesDeepNestingWithoutExhaustingTheStack() {
        let text = String(repeating: "[", count: 1_000_000)
        #expect(throws: JSONError(message: "nested deeper than 64 levels", offset: 64)) { try JSONValue(parsing: text) }
    }

    @Test func stopsAtTheLimitOfValues() throws {
        let bytes = Array(#"{"a":[1,2]}"#.utf8)
        #expect(try JSONValue(parsing: bytes.span, maximumValueCount: 5) == ["a": [1, 2]])
        #expect(throws: JSONError(message: "more than 4 values", offset: 8)) {
            try JSONValue(parsing: bytes.span, maximumValueCount: 4)
        }
    }

    @Test(arguments: [
        (#"["123456789012345"]"#, 2), (#"["1234567890123456"]"#, 3), ("[123456789012345]", 2),
        ("[1234567890123456]", 3),
    ])
    func whatIsWrittenInMoreThanFifteenBytesCountsTwice(text: String, count: Int) throws {
        let bytes = Array(text.utf8)
        #expect(throws: Never.self) { try JSONValue(parsing: bytes.span, maximumValueCount: count) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: bytes.span, maximumValueCount: count - 1) }
    }

    @Test func keepsTheDigitsOfNumbers() throws {
        let number = try #require(JSONValue(parsing: "12345678901234567890").number)
        #expect(number.literal == "12345678901234567890")
        #expect(try #require(JSONValue(parsing: "1e400").number).value == .infinity)
    }

    @Test func theLastOfEqualKeysCounts() throws {
        #expect(try JSONValue(parsing: #"{"a":1,"b":2,"a":3}"#).serialized == #"{"a":3,"b":2}"#)
    }

    @Test func spellingsOfOneLetterAreTwoKeysAndTwoValues() throws {
        let text = #"{"é":1,"e\#u{301}":2}"#
        var object = try #require(JSONValue(parsing: text).object)
        #expect(object["\u{E9}"] == 1 && object["e\u{301}"] == 2)
        object["\u{E9}"] = 3
        #expect(JSONValue.object(object).serialized == #"{"e\#u{301}":2,"é":3}"#)
        #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
        #expect(JSONObject(["\u{E9}": 1]) != JSONObject(["e\u{301}": 1]))
    }

    @Test func errorsNameTheByte() {
        #expect(throws: JSONError(message: "expected ',' or ']'", offset: 4)) { try JSONValue(parsing: "[12 3]") }
    }
}
