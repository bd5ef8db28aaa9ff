/// `file-` and 24 of `0-9 a-z`, drawn at random.
package struct FileID: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    /// Nil for anything that is no file's id.
    package init?(_ text: String) {
        guard DrawnName.holds(text, prefix: "file-") else { return nil }
        description = text
    }

    private init(drawn text: String) {
        description = text
    }

    package static func random() -> FileID { FileID(drawn: DrawnName.draw(prefix: "file-")) }
}

/// `batch_` and 24 of `0-9 a-z`, drawn at random.
package struct BatchID: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    /// Nil for anything that is no batch's id.
    package init?(_ text: String) {
        guard DrawnName.holds(text, prefix: "batch_") else { return nil }
        description = text
    }

    private init(drawn text: String) {
        description = text
    }

    package static func random() -> BatchID { BatchID(drawn: DrawnName.draw(prefix: "batch_")) }

    /// What makes it different from others: the 24 that were drawn.
    package var suffix: String { String(description.dropFirst(6)) }
}

/// A prefix and 24 of `0-9 a-z`.
private enum DrawnName {
    private static let digits = Array("0123456789abcdefghijklmnopqrstuvwxyz")

    static func draw(prefix: String) -> String {
        prefix + String((0..<24).map { _ in digits[Int.random(in: digits.indices)] })
    }

    static func holds(_ text: String, prefix: String) -> Bool {
        text.hasPrefix(prefix) && text.utf8.count == prefix.utf8.count + 24
            && text.utf8.dropFirst(prefix.utf8.count).allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            }
    }
}
