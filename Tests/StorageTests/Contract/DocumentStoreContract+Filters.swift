import Embeddings
import JSON
import Storage
import Testing

extension StoreClaim {
    static let filters: [StoreClaim] = [
        StoreClaim("a filter selects the same documents in a search and in a deletion") { store in
            let collection = try await Sample.collection(in: store)
            let writes = try FilterTable.documents.map { try Sample.write($0.key, $0.key, $0.value) }
            _ = try await store.write(writes, to: collection)
            let request = EmbeddingVector([1, 0, 0, 0])
            for (filter, expected) in try FilterTable.rows() {
                let hits = try await store.search(
                    SearchRequest(vector: request, limit: 100, filter: filter), in: collection)
                #expect(hits.map(\.id).joined(separator: " ") == expected, "\(filter)")
                let complement = try await store.search(
                    SearchRequest(vector: request, limit: 100, filter: .not(filter)), in: collection)
                #expect(hits.count + complement.count == writes.count, "\(filter)")

                #expect(try await store.deleteDocuments(.filter(filter), in: collection) == hits.count)
                #expect(try await store.documentCount(in: collection) == complement.count)
                _ = try await store.write(writes, to: collection)
            }
        }
    ]
}

/// Metadata of ten documents, filters, and the ids that each selects.
private enum FilterTable {
    static let documents: KeyValuePairs<String, String> = [
        "a": #"{"n":1,"s":"a","b":true,"z":null,"o":{"p":{"q":5}},"list":[1,2]}"#,
        "b": #"{"n":1.0,"s":"B","b":false,"list":[[1]]}"#,
        "c": #"{"n":9007199254740993,"s":"caf\u00e9"}"#,
        "d": #"{"n":9007199254740992,"s":"cafe\u0301"}"#,
        "e": #"{"n":"1","s":1,"b":"true","z":0}"#,
        "f": "{}",
        "g": #"{"it's \"q\"; --":"'; DROP TABLE x; --","$1":"\\","a b":"%_","n":-0.0}"#,
        "h": #"{"s":"\ud834\udd1e","n":1e2,"list":{"0":1},"b":[true]}"#,
        "i": #"{"o":{"p":7,"0":1},"s":"\uffff","n":-1.5}"#,
        "j": #"{"o.p":7,"s":"","o":"p","n":0.1}"#,
    ]

    static func rows() throws -> [(MetadataFilter, expected: String)] {
        func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
        func number(_ literal: String) -> MetadataScalar {
            .number(JSONNumber(literal: literal, value: Double(literal) ?? .nan))
        }
        let (n, s, b, z) = (try path("n"), try path("s"), try path("b"), try path("z"))
        return [
            (.equals(n, number("1")), "a b"),
            (.equals(n, number("1.00")), "a b"),
            (.equals(n, number("10e1")), "h"),
            (.equals(n, number("0")), "g"),
            (.equals(n, number("-0")), "g"),
            (.equals(n, number("9007199254740993")), "c"),
            (.equals(n, number("9007199254740993.0")), "c"),
            (.equals(n, .string("1")), "e"),
            (.equals(s, .string("café")), "c"),
            (.equals(s, .string("cafe\u{301}")), "d"),
            (.equals(s, .string("")), "j"),
            (.equals(b, .bool(true)), "a"),
            (.equals(z, .null), "a"),
            (.equals(z, .bool(false)), ""),
            (.differs(n, number("1")), "c d g h i j"),
            (.differs(s, .string("a")), "b c d h i j"),
            (.differs(b, .bool(true)), "b"),
            (.differs(z, .null), ""),
            (.differs(try path("missing"), number("1")), ""),
            (.not(.equals(n, number("1"))), "c d e f g h i j"),
            (.not(.differs(n, number("1"))), "a b e f"),
            (.not(.equals(try path("missing"), number("1"))), "a b c d e f g h i j"),
            (.anyOf(n, [number("1"), .string("1"), .null]), "a b e"),
            (.anyOf(n, []), ""),
            (.anyOf(s, [.string("'"), .string("B"), number("1")]), "b e"),
            (.compares(n, .greater, number("1")), "c d h"),
            (.compares(n, .greaterOrEqual, number("1.0")), "a b c d h"),
            (.compares(n, .greater, number("9007199254740992")), "c"),
            (.compares(n, .less, number("0")), "i"),
            (.compares(n, .lessOrEqual, number("1e-1")), "g i j"),
            (.compares(n, .less, number("1e-400")), "g i"),
            (.compares(n, .greater, .string("")), "e"),
            (.compares(s, .less, .string("a")), "b j"),
            (.compares(s, .greater, .string("cafz")), "c h i"),
            (.compares(s, .greater, .string("\u{FFFF}")), "h"),
            (.compares(s, .greaterOrEqual, .string("café")), "c h i"),
            (.compares(b, .greaterOrEqual, .bool(false)), ""),
            (.compares(z, .lessOrEqual, .null), ""),
            (.exists(z, true), "a e"),
            (.exists(z, false), "b c d f g h i j"),
            (.exists(try path("o.p"), true), "a i"),
            (.exists(try path("o.p.q"), true), "a"),
            (.equals(try path("o.p"), number("7")), "i"),
            (.equals(try path("o.0"), number("1")), "i"),
            (.equals(try path("list.0"), number("1")), "h"),
            (.equals(try path("list"), number("1")), ""),
            (.equals(try path("it's \"q\"; --"), .string("'; DROP TABLE x; --")), "g"),
            (.equals(try path("$1"), .string("\\")), "g"),
            (.equals(try path("a b"), .string("%_")), "g"),
            (.equals(try path("a b"), .string("ab")), ""),
            (.exists(try path("'); DROP SCHEMA ovenbird CASCADE; --"), true), ""),
            (.and([]), "a b c d e f g h i j"),
            (.or([]), ""),
            (.and([.exists(s, true), .or([.equals(n, number("1")), .equals(b, .string("true"))])]), "a b e"),
            (.not(.and([.exists(n, true), .not(.equals(s, .string("a")))])), "a f"),
            (.not(.or([.exists(n, true), .exists(s, true)])), "f"),
        ]
    }
}
