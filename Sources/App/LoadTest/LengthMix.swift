import ArgumentParser

/// Made-up texts of so many words, by weight: `8:60,40:30,160:10` is 60 % of eight words, and so on.
package struct LengthMix: Sendable, Equatable {
    package struct Share: Sendable, Equatable {
        package let wordCount: Int
        package let weight: Double
    }

    package let shares: [Share]

    package static let wordRange = 1...8_192
    private static let maximumShareCount = 32
    /// Distinct texts that are made.
    static let textCount = 4_096

    /// - Throws: a validation error that says what it takes; the parser adds the option's name.
    package init(_ text: String) throws {
        shares = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let pair = part.split(separator: ":", omittingEmptySubsequences: false)
            guard (1...2).contains(pair.count), let wordCount = Int(pair[0]), Self.wordRange.contains(wordCount) else {
                throw ValidationError(
                    "'\(part)': it takes WORDS:WEIGHT parted by commas, as 8:60,40:30,160:10, of \(Self.wordRange.lowerBound) to \(Self.wordRange.upperBound) words"
                )
            }
            let weight = pair.count == 1 ? 1 : Double(pair[1]) ?? 0
            guard weight > 0, weight <= 1e6 else {
                throw ValidationError("'\(part)': a weight is a number above 0 and up to 1000000")
            }
            return Share(wordCount: wordCount, weight: weight)
        }
        guard shares.count <= Self.maximumShareCount else {
            throw ValidationError("\(shares.count) lengths are too many; it takes 1 to \(Self.maximumShareCount)")
        }
    }

    /// Short and middling texts and some long ones, as searches and passages are.
    package static let standard = LengthMix(shares: [(8, 60), (40, 30), (160, 10)])

    private init(shares: [(Int, Double)]) {
        self.shares = shares.map { Share(wordCount: $0, weight: $1) }
    }

    /// The same texts for the same seed.
    package func texts(seed: UInt64) -> [String] {
        var random = SeededRandom(seed: seed)
        let total = shares.reduce(0) { $0 + $1.weight }
        return (0..<Self.textCount).map { _ in
            var place = random.unit() * total
            var wordCount = shares[0].wordCount
            for share in shares {
                wordCount = share.wordCount
                place -= share.weight
                if place < 0 { break }
            }
            return (0..<wordCount).map { _ in Self.words[Int(random.next() % UInt64(Self.words.count))] }
                .joined(separator: " ")
        }
    }

    /// Common words: in the vocabularies of BERT models each is one token.
    private static let words: [String] = """
        a about after all an and any as at back be because but by can come could day do even first for from get give go \
        good have he her him his how if in into it its just know like look make me most my new no not now of on one only \
        or other our out over people say see she so some take than that the their them then there these they think this \
        time to two up us use want way we well what when which who will with work would year you your bread oven bird \
        nest house water stone field river morning evening winter summer garden kitchen letter paper station window
        """.split(separator: " ").map(String.init)
}
