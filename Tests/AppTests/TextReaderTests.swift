import App
import Foundation
import JSON
import Testing

struct TextReaderTests {
    private func read(_ contents: String, blankLines: TextReader.BlankLines = .skip) throws -> [TextLine] {
        try read(Data(contents.utf8), blankLines: blankLines)
    }

    private func read(_ contents: Data, blankLines: TextReader.BlankLines = .skip) throws -> [TextLine] {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("texts-\(UUID().uuidString)").path
        try contents.write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }  // a left-over temporary file harms nobody
        var reader = try TextReader(path: path, blankLines: blankLines)
        return try reader.rest()
    }

    @Test func plainLinesAreNumberedFromZero() throws {
        let lines = try read("one\n\ntwo\r\nthree")
        #expect(lines.map(\.id) == [0, 2, 3])
        #expect(lines.map(\.text) == ["one", "two\r", "three"])
    }

    @Test func blankLinesAreTextsWhereTheyAreKept() throws {
        #expect(try read("one\n\n two\n", blankLines: .keep).map(\.text) == ["one", "", " two"])
    }

    @Test func objectsKeepTheirIds() throws {
        let lines = try read("\n{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":7,\"text\":\"y\"}\n{\"text\":\"z\"}\n")
        #expect(lines.map(\.id) == ["a", 7, 3])
        #expect(lines.map(\.text) == ["x", "y", "z"])
    }

    @Test func anObjectWithoutTextIsAPlainLine() throws {
        #expect(try read("{\"a\":1}\n").map(\.text) == ["{\"a\":1}"])
    }

    @Test(arguments: [
        "{\"text\":\"a\"}\nnot json\n", "{\"text\":\"a\"}\n[1]\n", "{\"text\":\"a\"}\n{\"text\":1}\n",
        "{\"text\":\"a\"}\n{\"text\":\"\\ud800\"}\n", "{\"text\":\"a\"}\n{\"id\":null,\"text\":\"b\"}\n",
        "{\"text\":\"a\"}\n{}\n",
    ])
    func aBadLineIsNamed(contents: String) throws {
        let failure = try #require(throws: CommandFailure.self) { try read(contents) }
        #expect(failure.message.contains("line 2 of the input") && failure.exitCode == 1)
    }

    @Test func bytesThatAreNotUTF8AreRefused() throws {
        let failure = try #require(throws: CommandFailure.self) { try read(Data([0x61, 0x0A, 0xFF, 0x0A])) }
        #expect(failure.message == "line 2 of the input is not valid UTF-8")
    }

    @Test func aFileThatIsNotThereIsNamed() throws {
        let failure = try #require(throws: CommandFailure.self) {
            var reader = try TextReader(path: "/nonexistent/texts", blankLines: .skip)
            _ = try reader.next()
        }
        #expect(failure.message.contains("/nonexistent/texts"))
    }

    @Test func aFolderIsNotAnInput() throws {
        let failure = try #require(throws: CommandFailure.self) {
            _ = try TextReader(path: "/tmp", blankLines: .skip)
        }
        #expect(failure.message == "the input '/tmp' is a folder")
    }

    @Test func linesLongerThanABufferArriveWhole() throws {
        let long = String(repeating: "abc ", count: 200_000)
        #expect(try read("\(long)\nshort\n").map(\.text) == [long, "short"])
    }
}
