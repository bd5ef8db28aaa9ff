/// Percent-encoding (RFC 3986) of path segments and query values.
enum PercentCoding {
    enum Plus {
        /// In a path.
        case literal
        /// In a query, as forms write it.
        case space
    }

    /// Takes UTF-8, since a `Character` may hold a separator and what follows it. Nil for an escape that is none, and for
    /// bytes that are not UTF-8.
    static func decode(_ text: some Sequence<UInt8>, plus: Plus) -> String? {
        var bytes: [UInt8] = []
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plus == .space: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
