import App
import Embeddings
import Testing

struct SweepTextsTests {
    /// A tokenizer that gives each letter its place in the alphabet, between `prefix` and `suffix`.
    private static func texts(
        _ texts: [String], prefix: [Int32] = [101], suffix: [Int32] = [102]
    ) throws -> SweepTexts {
        try SweepTexts(
            texts, encode: { text in prefix + text.utf8.map { Int32($0) - 96 } + suffix },
            enclose: { prefix + $0 + suffix })
    }

    @Test func textsAreJoinedAndCutToTheLength() throws {
        var texts = try Self.texts(["abc", "", "de"])
        #expect(try texts.next(2, length: 4).map(\.ids) == [[101, 1, 2, 102], [101, 3, 4, 102]])
        // It goes on where it ended, and from the end to the start.
        #expect(try texts.next(1, length: 9).map(\.ids) == [[101, 5, 1, 2, 3, 4, 5, 1, 102]])
    }

    @Test(arguments: [([Int32](), [Int32]()), ([9], []), ([], [9]), ([7, 8], [9, 9, 9])])
    func specialTokensKeepTheirPlaces(prefix: [Int32], suffix: [Int32]) throws {
        var texts = try Self.texts(["ab"], prefix: prefix, suffix: suffix)
        let length = prefix.count + suffix.count + 3
        #expect(try texts.next(1, length: length).map(\.ids) == [prefix + [1, 2, 1] + suffix])
    }

    @Test func lengthsWithoutRoomForATokenAreRefused() throws {
        var texts = try Self.texts(["abc"])
        let failure = #expect(throws: CommandFailure.self) { try texts.next(1, length: 2) }
        #expect(failure?.exitCode == 64)
        #expect(failure?.message.contains("--sweep-length holds 2; it takes 3 or more") == true)
        #expect(try texts.next(1, length: 3).map(\.ids) == [[101, 1, 102]])
    }

    @Test func nothingCannotBeCut() {
        #expect(throws: CommandFailure.self) { try Self.texts(["", ""]) }
    }
}
