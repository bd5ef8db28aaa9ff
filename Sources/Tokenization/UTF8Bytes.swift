/// The scalar that starts at `index`, which moves past it. The bytes are valid UTF-8.
func decodeScalar(in bytes: Span<UInt8>, at index: inout Int) -> UInt32 {
    let first = UInt32(bytes[index])
    func continuation(_ offset: Int) -> UInt32 { UInt32(bytes[index + offset] & 0x3F) }
    switch first {
    case 0..<0x80:
        index += 1
        return first
    case 0x80..<0xE0:
        let scalar = (first & 0x1F) << 6 | continuation(1)
        index += 2
        return scalar
    case 0xE0..<0xF0:
        let scalar = (first & 0x0F) << 12 | continuation(1) << 6 | continuation(2)
        index += 3
        return scalar
    default:
        let scalar = (first & 0x07) << 18 | continuation(1) << 12 | continuation(2) << 6 | continuation(3)
        index += 4
        return scalar
    }
}

/// The scalar that ends before `end`, and where it starts; nil at the start of the text.
func scalarBefore(_ end: Int, in bytes: Span<UInt8>) -> (scalar: UInt32, start: Int)? {
    guard end > 0 else { return nil }
    var start = end - 1
    while bytes[start] & 0xC0 == 0x80 { start -= 1 }
    var index = start
    return (decodeScalar(in: bytes, at: &index), start)
}

extension Array<UInt8> {
    /// - Precondition: `scalar` is a Unicode scalar.
    mutating func append(scalar: UInt32) {
        switch scalar {
        case 0..<0x80: append(UInt8(scalar))
        case 0x80..<0x800:
            append(0xC0 | UInt8(scalar >> 6))
            append(0x80 | UInt8(scalar & 0x3F))
        case 0x800..<0x10000:
            append(0xE0 | UInt8(scalar >> 12))
            append(0x80 | UInt8(scalar >> 6 & 0x3F))
            append(0x80 | UInt8(scalar & 0x3F))
        default:
            append(0xF0 | UInt8(scalar >> 18))
            append(0x80 | UInt8(scalar >> 12 & 0x3F))
            append(0x80 | UInt8(scalar >> 6 & 0x3F))
            append(0x80 | UInt8(scalar & 0x3F))
        }
    }
}
