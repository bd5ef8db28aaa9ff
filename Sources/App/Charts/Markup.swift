extension String {
    /// This text as it stands in XML and HTML, in an element or in a quoted attribute. What XML 1.0 has no place for
    /// (control characters) becomes U+FFFD.
    package var escapedForMarkup: String {
        var result = ""
        result.reserveCapacity(utf8.count)
        for scalar in unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\t", "\n", "\r": result.unicodeScalars.append(scalar)
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// At most this many characters; what is left out shows as an ellipsis.
    func shortened(to count: Int) -> String {
        self.count <= count ? self : String(prefix(max(0, count - 1))) + "…"
    }
}
