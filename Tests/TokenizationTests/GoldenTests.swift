import Embeddings
import Foundation
import JSON
import Testing
import Tokenization

/// Golden/golden.json, which Golden/golden.py made with Hugging Face `tokenizers`; it states version and seed.
struct GoldenTests {
    private let golden: JSONObject

    init() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/golden.json")
        golden = try #require(try JSONValue(parsing: Array(try Data(contentsOf: file))).object)
    }

    @Test(arguments: [
        "uncased", "cased", "uncased, accents kept", "cased, accents stripped", "Chinese together", "not cleaned",
        "normalized tokens", "normalized tokens, cased", "nothing added",
    ])
    func idsAreThoseOfHuggingFace(name: String) throws {
        let cases = try #require(golden["cases"]?.array).compactMap(\.object)
        let golden = try #require(cases.first { $0["name"] == .string(name) })
        let folder = try ModelFolder([
            "tokenizer.json": try #require(golden["tokenizer"]).serialized,
            "config.json": #"{"max_position_embeddings":100000}"#,
        ])
        let tokenizer = try TextTokenizer(directory: folder.path)
        let texts = try #require(self.golden["texts"]?.array).compactMap(\.string)
        let expected = try #require(golden["ids"]?.array).map { ids in
            try #require(ids.array).compactMap { $0.number?.integer.map(Int32.init) }
        }
        #expect(texts.count == expected.count && texts.count > 100)
        for (text, ids) in zip(texts, expected) where !ids.isEmpty {
            let sequence = tokenizer.encode(text)
            #expect(sequence.ids == ids, "\(text.debugDescription)")
            #expect(!sequence.isTruncated)
        }
    }
}
