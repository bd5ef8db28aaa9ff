package import Foundation

extension FileHandle {
    /// Writes the text, or loses it where nobody reads any more: the end of a log's reader must not be a server's, as
    /// `write(_:)` would have it.
    package func writeOrLose(_ text: String) {
        // There is nowhere left to report to.
        try? write(contentsOf: Data(text.utf8))
    }
}
