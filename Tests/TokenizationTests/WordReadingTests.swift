import Embeddings
import Foundation
import Synchronization
import Testing
import Tokenization

/// The fast reading of ASCII words, and its cache, against a plain one.
struct WordReadingTests {
    /// One set of two words, where all words meet; 32 sets; 1,024 sets.
    static let cacheSizes = [64, 2048, 1 << 16]

    @Test(arguments: cacheSizes)
    func randomTextsReadAsPlainly(wordCacheByteCount: Int) throws {
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer(wordCacheByteCount: wordCacheByteCount)
        var random = SplitMix64(seed: 4)
        let letters: [Character] = ["a", "b", "e", "1", "A", "B", "E", "a", "b", "e", "1", "z"]
        let others: [Character] = [
            " ", " ", " ", ",", ".", "-", "!", "[", "@", "\n", "\t", "\u{1}", "\u{7F}", "é", "É", "中",
        ]
        for _ in 0..<600 {
            var text = ""
            for _ in 0..<Int.random(in: 0...30, using: &random) {
                for _ in 0..<Int.random(in: 0...20, using: &random) {
                    text.append(letters[Int.random(in: 0..<letters.count, using: &random)])
                }
                text.append(others[Int.random(in: 0..<others.count, using: &random)])
            }
            try #require(tokenizer.body(of: text) == plain.ids(of: text), "\(text.debugDescription)")
        }
    }

    @Test func aWordReadsTheSameAtEveryPlaceAndBeforeEveryNeighbour() throws {
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer()
        let neighbours = ["", " ", ",", "!", "\n", "é", "\u{301}", "中", "\u{1}", "\u{7F}b", "b", "\r\n", "  b"]
        for place in 0...64 {
            for length in Array(1...18) + [24, 25, 34] {
                let word = String("bEa1bA1eabeb1aB1ab1ea1Bbaebab1beab".prefix(length))
                let before = String(String(repeating: "ab,b ", count: 13).prefix(place))
                for neighbour in neighbours {
                    let text = before + word + neighbour
                    try #require(tokenizer.body(of: text) == plain.ids(of: text), "\(text.debugDescription)")
                }
            }
        }
    }

    @Test func everyASCIIByteReadsAsPlainly() throws {
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer()
        for byte in UInt8(0)..<0x80 {
            let character = String(UnicodeScalar(byte))
            for text in [
                character, "a\(character)", "\(character)a", "ab1ab1a\(character)ab1ab1ab b",
                "\(character)\(character)",
            ] {
                #expect(tokenizer.body(of: text) == plain.ids(of: text), "\(text.debugDescription)")
            }
        }
    }

    @Test(arguments: cacheSizes)
    func moreWordsThanTheCacheHoldsReadAsPlainly(wordCacheByteCount: Int) throws {
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer(wordCacheByteCount: wordCacheByteCount)
        // 6,000 words of 1 to 17 bytes, many with a common start of eight or a common end.
        var words: [String] = []
        for number in 0..<6_000 {
            let digits = String(number, radix: 3).map { ["a", "b", "1"][Int(String($0)) ?? 0] }.joined()
            words.append([digits, "eeeeeeee" + digits.suffix(9), digits.prefix(8) + "bbbbbbbb"][number % 3])
        }
        var random = SplitMix64(seed: 5)
        for _ in 0..<2 {
            words.shuffle(using: &random)
            let text = words.joined(separator: " ")
            #expect(tokenizer.body(of: text) == plain.ids(of: text))
        }
    }

    @Test(arguments: cacheSizes)
    func wordsThatDifferInOneByteAreDifferentWords(wordCacheByteCount: Int) throws {
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer(wordCacheByteCount: wordCacheByteCount)
        for length in 1...18 {
            let word = Array(repeating: "b", count: length)
            for place in 0..<length {
                var other = word
                other[place] = "a"
                let text = [word, other, word, other.dropLast(), other].map { $0.joined() }.joined(separator: " ")
                #expect(tokenizer.body(of: text) == plain.ids(of: text), "\(text)")
            }
        }
    }

    @Test func aWordThatEndsInZerosIsAnotherWord() throws {
        var definition = Definition()
        definition.normalizer = """
            {"type":"BertNormalizer","clean_text":false,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}
            """
        let tokenizer = try definition.tokenizer(limit: 512, wordCacheByteCount: 64)
        #expect(tokenizer.body(of: "a a\0 a a\0\0 b \0 b") == [4, 1, 4, 1, 6, 1, 6])
    }

    @Test func idsAsLargeAsTheyGoStayWhatTheyAre() throws {
        var definition = Definition()
        definition.model = """
            {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
            "vocab":{"[UNK]":1,"a":1048575,"##a":1048576,"b":2147483646,"##b":1048574}}
            """
        let tokenizer = try definition.tokenizer(limit: 512, wordCacheByteCount: 64)
        let (a, more, b, andB): (Int32, Int32, Int32, Int32) = (1_048_575, 1_048_576, 2_147_483_646, 1_048_574)
        #expect(
            tokenizer.body(of: "a aa b abbbbb a aa b abbbbb bb bb") == [
                a, a, more, b, a, andB, andB, andB, andB, andB,
                a, a, more, b, a, andB, andB, andB, andB, andB, b, andB, b, andB,
            ])
    }

    @Test(arguments: [7, 8, 9, 16, 17])
    func aWordIsUnknownOverItsLimitKnownOrNot(limit: Int) throws {
        let plain = PlainReading(vocabulary: PlainReading.example.vocabulary, maximumWordLength: limit)
        let tokenizer = try plain.tokenizer()
        for length in limit - 1...limit + 1 {
            let text = Array(repeating: String(repeating: "b", count: length), count: 3).joined(separator: " ")
            #expect(tokenizer.body(of: text) == plain.ids(of: text))
            #expect(tokenizer.body(of: text).contains(PlainReading.unknownID) == (length > limit))
        }
    }

    @Test(arguments: 3...60)
    func theLimitCutsTheWholeReading(limit: Int) throws {
        let plain = PlainReading.example
        let tokenizer = try plain.definition.tokenizer(limit: limit, wordCacheByteCount: 2048)
        for text in ["a bab1 b, ab1ab1ab1ab1 é a1b", "ab1eb1ab ab1eb1ab", "a b"] {
            let text = String(repeating: text + " ", count: 9)
            let ids = plain.ids(of: text)
            for _ in 0..<2 {
                let sequence = tokenizer.encode(text)
                #expect(Array(sequence.ids.dropFirst().dropLast()) == Array(ids.prefix(limit - 2)))
                #expect(sequence.isTruncated == (ids.count > limit - 2))
            }
        }
    }

    @Test(arguments: 1...6)
    func addedTokensAreFoundAtEveryPlace(count: Int) throws {
        let contents = Array(["<ab>", "@b", "[1", "1e1e1", "中b", "!!"].prefix(count))
        let entries = contents.map { content in
            """
            {"id":0,"content":"\(content)","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}
            """
        }
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer(addedTokens: "[\(entries.joined(separator: ","))]")
        // Around the length at which a long text is cut into parts, too.
        for place in Array(0...70) + Array(4080...4110) {
            for (before, after) in [("ab1", "b a"), ("ab ", " b"), ("aaé", "é")] {
                let before = String(String(repeating: before, count: 1400).prefix(place))
                for (number, content) in contents.enumerated() {
                    let added = Int32(plain.vocabulary.count + number)
                    let expected = plain.ids(of: before) + [added] + plain.ids(of: after)
                    let text = before + content + after
                    #expect(tokenizer.body(of: text) == expected, "\(text.suffix(100).debugDescription)")
                }
            }
        }
    }

    @Test func manyCallersAtOnceReadAsOne() throws {
        let plain = PlainReading.example
        let tokenizer = try plain.tokenizer(wordCacheByteCount: 64)
        let words = ["a", "b1a", "ab1ab,", "bé1", "e1e1e1b"]
        let texts = (0..<64).map { number in
            (0..<200).map { place in words[place * (31 + number) % words.count] }.joined(separator: " ")
        }
        let expected = texts.map { plain.ids(of: $0) }
        let differences = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: 64) { number in
            for round in 0..<20 {
                let place = (number + round) % texts.count
                if tokenizer.body(of: texts[place]) != expected[place] { differences.add(1, ordering: .relaxed) }
            }
        }
        #expect(differences.load(ordering: .relaxed) == 0)
    }
}

/// Seeded randomness.
private struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }
}
