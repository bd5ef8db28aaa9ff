import JSON

/// A JSON number compared digit by digit, as the database's `numeric` compares it: 1 equals 1.0 and 1e0, and
/// 9007199254740993 differs from 9007199254740992, which as doubles are the same.
struct ExactNumber: Comparable {
    private let isNegative: Bool
    /// Without zeros at either end; empty for zero.
    private let digits: [UInt8]
    /// The number is 0.d₁d₂d₃… × 10 to this power; 0 for zero.
    private let exponent: Int

    init(_ number: JSONNumber) {
        let parts = number.literal.utf8.split(maxSplits: 1) { $0 | 0x20 == UInt8(ascii: "e") }
        let writtenExponent = parts.count < 2 ? 0 : Int(String(decoding: parts[1], as: UTF8.self)) ?? 0
        let mantissa = parts[0].drop { $0 == UInt8(ascii: "-") }
        let point = mantissa.firstIndex(of: UInt8(ascii: ".")) ?? mantissa.endIndex
        let integerDigitCount = mantissa.distance(from: mantissa.startIndex, to: point)
        var digits = mantissa.filter { $0 != UInt8(ascii: ".") }
        let leadingZeroCount = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leadingZeroCount)
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        self.digits = digits
        exponent = digits.isEmpty ? 0 : writtenExponent + integerDigitCount - leadingZeroCount
        isNegative = !digits.isEmpty && number.literal.utf8.first == UInt8(ascii: "-")
    }

    static func < (left: ExactNumber, right: ExactNumber) -> Bool {
        switch (left.sign, right.sign) {
        case (let leftSign, let rightSign) where leftSign != rightSign: leftSign < rightSign
        case (-1, _): right.magnitudePrecedes(left)
        case (1, _): left.magnitudePrecedes(right)
        default: false
        }
    }

    private var sign: Int { digits.isEmpty ? 0 : isNegative ? -1 : 1 }

    private func magnitudePrecedes(_ other: ExactNumber) -> Bool {
        exponent == other.exponent ? digits.lexicographicallyPrecedes(other.digits) : exponent < other.exponent
    }
}

extension JSONNumber {
    /// What is stored for this number: itself, or the nearest double where it is written with more digits or a larger
    /// exponent than anyone means, and than the database takes (`numeric` ends at 16,383 places after the point).
    var storable: JSONNumber {
        let parts = literal.utf8.split(maxSplits: 1) { $0 | 0x20 == UInt8(ascii: "e") }
        let exponent = parts.count < 2 ? 0 : Int(String(decoding: parts[1], as: UTF8.self))
        guard let exponent, exponent.magnitude <= 1_000, literal.utf8.count <= 1_000 else {
            return value.isFinite ? JSONNumber(value) : self
        }
        return self
    }
}
