/// The caller's span, as `traceparent` names it (W3C Trace Context, level 2): `00-TRACE-SPAN-FLAGS` in lower-case
/// hexadecimal. For logs alone: no span is made here.
package struct TraceContext: Equatable {
    /// 32 digits.
    package let traceID: String
    /// 16 digits.
    package let spanID: String

    private static let dash = UInt8(ascii: "-")

    /// Nil for whatever the standard does not know: the header then counts as not sent.
    package init?(traceParent: String) {
        let bytes = Array(traceParent.utf8)
        guard bytes.count >= 55, bytes[2] == Self.dash, bytes[35] == Self.dash, bytes[52] == Self.dash,
            [0..<2, 3..<35, 36..<52, 53..<55].allSatisfy({ bytes[$0].allSatisfy(Self.isDigit) })
        else { return nil }
        let version = bytes[0..<2]
        guard !version.elementsEqual("ff".utf8) else { return nil }
        // Later versions may say more behind these fields.
        if bytes.count > 55 {
            guard !version.elementsEqual("00".utf8), bytes[55] == Self.dash else { return nil }
        }
        guard !Self.isZero(bytes[3..<35]), !Self.isZero(bytes[36..<52]) else { return nil }
        traceID = String(decoding: bytes[3..<35], as: UTF8.self)
        spanID = String(decoding: bytes[36..<52], as: UTF8.self)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func isZero(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { $0 == UInt8(ascii: "0") }
    }
}
