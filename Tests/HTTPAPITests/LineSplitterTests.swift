import HTTPAPI
import NIOCore
import Testing

struct LineSplitterTests {
    private static func split(_ text: String, limit: Int, piece: Int) -> [String?] {
        var splitter = LineSplitter(limit: limit)
        var lines: [LineSplitter.Line] = []
        var rest = Substring(text)
        while !rest.isEmpty {
            var buffer = ByteBuffer(string: String(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
            while let line = splitter.next(from: &buffer) { lines.append(line) }
            #expect(buffer.readableBytes == 0)
        }
        if let line = splitter.finish() { lines.append(line) }
        return lines.map { line in
            switch line {
            case .text(let buffer): String(buffer: buffer)
            case .tooLong: nil
            }
        }
    }

    @Test(arguments: 1...12) func cutsWhateverThePieces(piece: Int) {
        #expect(Self.split("a\n\nbc\ndef", limit: 3, piece: piece) == ["a", "", "bc", "def"])
        #expect(Self.split("a\n", limit: 3, piece: piece) == ["a"])
        #expect(
            Self.split("abcd\nok\nabcdefghij\nxyz\nlonger", limit: 3, piece: piece) == [nil, "ok", nil, "xyz", nil])
    }

    @Test func holdsNoMoreThanTheLimit() {
        var splitter = LineSplitter(limit: 10)
        for _ in 0..<1_000 {
            var buffer = ByteBuffer(repeating: UInt8(ascii: "x"), count: 65_536)
            #expect(splitter.next(from: &buffer) == nil)
        }
        var end = ByteBuffer(string: "\nshort\n")
        #expect(splitter.next(from: &end) == .tooLong)
        #expect(splitter.next(from: &end) == .text(ByteBuffer(string: "short")))
        #expect(splitter.finish() == nil)
    }
}
