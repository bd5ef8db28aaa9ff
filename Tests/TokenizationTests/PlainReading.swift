import Embeddings
import Tokenization

/// WordPiece over text of ASCII and a few other characters, as plainly as it can be written: what the fast reading is
/// held against. It knows uncased normalizers that clean.
struct PlainReading {
    /// Ids by piece, "##" before those that go on with a word.
    let vocabulary: [String: Int32]
    var maximumWordLength = 100
    static let unknownID: Int32 = 1

    /// Without special tokens.
    func ids(of text: String) -> [Int32] {
        var words: [String] = [""]
        for scalar in text.unicodeScalars {
            switch scalar {
            case " ", "\t", "\n", "\r": words.append("")
            case "\0"..."\u{1F}", "\u{7F}", "\u{301}": continue
            case "é", "É": words[words.count - 1].append("e")
            case "a"..."z", "A"..."Z", "0"..."9": words[words.count - 1] += String(scalar).lowercased()
            default: words += [String(scalar), ""]
            }
        }
        return words.filter { !$0.isEmpty }.flatMap(ids(ofWord:))
    }

    private func ids(ofWord word: String) -> [Int32] {
        let characters = Array(word.unicodeScalars)
        guard characters.count <= maximumWordLength else { return [Self.unknownID] }
        var ids: [Int32] = []
        var start = 0
        while start < characters.count {
            let ends = (start + 1...characters.count).reversed()
            guard let end = ends.first(where: { piece(characters, start..<$0) != nil }),
                let id = piece(characters, start..<end)
            else { return [Self.unknownID] }
            ids.append(id)
            start = end
        }
        return ids
    }

    private func piece(_ word: [Unicode.Scalar], _ range: Range<Int>) -> Int32? {
        var text = range.lowerBound > 0 ? "##" : ""
        text.unicodeScalars.append(contentsOf: word[range])
        return vocabulary[text]
    }
}

extension PlainReading {
    /// All words of up to three of "a", "b", "e", "1" at a word's start, and half of them as pieces that go on with one,
    /// so that most words have several pieces; punctuation but for "!", and one Chinese character.
    static let example: PlainReading = {
        var words: [String] = [""]
        var pieces: [String] = []
        for _ in 0..<3 {
            words = words.flatMap { word in ["a", "b", "e", "1"].map { word + $0 } }
            pieces += words
        }
        let continuing = pieces.enumerated().filter { $0.offset < 4 || $0.offset % 2 == 0 }.map { "##" + $0.element }
        let other = [",", ".", "-", "[", "]", "<", ">", "@", "中"]
        var vocabulary: [String: Int32] = ["[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3]
        for piece in pieces + continuing + other { vocabulary[piece] = Int32(vocabulary.count) }
        return PlainReading(vocabulary: vocabulary)
    }()

    /// The same as a model's folder.
    var definition: Definition {
        var definition = Definition()
        let entries = vocabulary.map { #""\#($0.key)":\#($0.value)"# }.joined(separator: ",")
        definition.model = """
            {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
            "max_input_chars_per_word":\(maximumWordLength),"vocab":{\(entries)}}
            """
        return definition
    }

    /// Without a limit that matters.
    func tokenizer(wordCacheByteCount: Int = 1 << 19, addedTokens: String = "[]") throws -> TextTokenizer {
        var definition = definition
        definition.addedTokens = addedTokens
        return try definition.tokenizer(limit: 1 << 20, wordCacheByteCount: wordCacheByteCount)
    }
}

extension TextTokenizer {
    /// Without the special tokens that every `Definition` has.
    func body(of text: String) -> [Int32] { Array(encode(text).ids.dropFirst().dropLast()) }
}
