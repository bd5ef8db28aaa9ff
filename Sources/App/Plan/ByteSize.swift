import ArgumentParser

/// A number of bytes as people write it: `536870912`, `512MB`, `1.5GiB`.
package struct ByteSize: Sendable, Equatable, CustomStringConvertible {
    package let byteCount: Int

    package init(byteCount: Int) {
        self.byteCount = byteCount
    }

    private static let units: [(name: String, byteCount: Int)] = [
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40),
        ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("tb", 1_000_000_000_000), ("b", 1), ("", 1),
    ]
    /// What no machine has yet; products with it do not overflow.
    private static let limit = 1 << 50

    /// Reads a number and its unit, of powers of 1,000 (`MB`) or of 1,024 (`MiB`), in any case, with or without a space;
    /// nil for everything else. A bare `M` is refused: one half of the world reads it one way.
    package init?(text: String) {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        guard let factor = Self.units.first(where: { $0.name == unit })?.byteCount, let number = Double(digits),
            number.isFinite, number > 0, !digits.hasPrefix("."), !digits.hasSuffix(".")
        else { return nil }
        let product = (number * Double(factor)).rounded(.down)
        guard product >= 1, product <= Double(Self.limit) else { return nil }
        // An integer keeps all its digits.
        if let whole = Int(digits) {
            byteCount = whole * factor
        } else {
            byteCount = Int(product)
        }
    }

    /// As an option takes it; the message names the option and the forms.
    static func option(_ name: String) -> @Sendable (String) throws -> ByteSize {
        { text in
            guard let size = ByteSize(text: text) else {
                throw ValidationError(
                    "\(name) is '\(text)'; it takes bytes, or a number with KB, MB, GB, KiB, MiB or GiB, up to 1,024 TiB"
                )
            }
            return size
        }
    }

    /// Whole MiB, rounded up from 10 MiB on; below it bytes.
    package var description: String {
        byteCount >= 10 << 20 ? "\((byteCount + (1 << 20) - 1) >> 20) MiB" : "\(byteCount) bytes"
    }
}
