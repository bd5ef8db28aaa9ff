import JSON

/// The texts of a load, as JSON strings, in an order that is the same for the same seed. They come round again when all
/// were taken: at the greatest possible distance, so that no two under way are the same while there are enough.
package struct LoadTexts: Sendable {
    private let strings: [[UInt8]]
    private var place = 0

    /// Of all texts together.
    static let maximumByteCount = 256 << 20

    /// - Precondition: at least one text.
    package init(_ texts: [String], seed: UInt64) {
        precondition(!texts.isEmpty)
        var random = SeededRandom(seed: seed)
        strings = texts.shuffled(using: &random).map { text in
            var bytes: [UInt8] = []
            text.writeJSON(to: &bytes)
            return bytes
        }
    }

    package var count: Int { strings.count }

    /// The next text, quoted and escaped.
    package mutating func next() -> [UInt8] {
        defer { place = place + 1 == strings.count ? 0 : place + 1 }
        return strings[place]
    }

    /// The texts of a file, without blank lines.
    static func read(path: String) throws(CommandFailure) -> [String] {
        var reader = try TextReader(path: path, blankLines: .skip)
        var texts: [String] = []
        var byteCount = 0
        while let line = try reader.next() {
            guard !line.text.isEmpty else { continue }
            byteCount += line.text.utf8.count
            guard byteCount <= maximumByteCount else {
                throw .failed(
                    "the input '\(path)' holds more than \(maximumByteCount) bytes of text; a part of it will do")
            }
            texts.append(line.text)
        }
        guard !texts.isEmpty else { throw .failed("the input '\(path)' holds no text") }
        return texts
    }
}
