/// What the oracle's tables say of a Unicode scalar; built once from `UnicodeTables`.
struct ScalarProperties: Sendable {
    struct Flags: OptionSet {
        let rawValue: UInt16

        static let removed = Flags(rawValue: 1)
        static let whitespace = Flags(rawValue: 1 << 1)
        static let chinese = Flags(rawValue: 1 << 2)
        static let punctuation = Flags(rawValue: 1 << 3)
        static let mark = Flags(rawValue: 1 << 4)
        static let wordCharacter = Flags(rawValue: 1 << 5)
        /// Has a combining class other than 0.
        static let combining = Flags(rawValue: 1 << 6)
        static let decomposes = Flags(rawValue: 1 << 7)
        static let hasLowercase = Flags(rawValue: 1 << 8)
    }

    static let shared = ScalarProperties()

    /// (0x1100): which block of `flags` holds a run of 256 scalars. Few blocks differ.
    private let blocks: [UInt16]
    private let flags: [Flags]
    private let combiningClasses: [UInt32: UInt8]
    private let decompositions: ScalarMapping
    private let lowercase: ScalarMapping

    private init() {
        var all = [Flags](repeating: [], count: 0x110000)
        for (table, flag) in [
            (UnicodeTables.removed, Flags.removed), (UnicodeTables.whitespace, .whitespace),
            (UnicodeTables.chinese, .chinese), (UnicodeTables.punctuation, .punctuation),
            (UnicodeTables.marks, .mark), (UnicodeTables.wordCharacters, .wordCharacter),
        ] {
            let numbers = UnicodeTables.numbers(in: table)
            var scalar = 0
            for pair in stride(from: 0, to: numbers.count, by: 2) {
                scalar += numbers[pair]
                for _ in 0..<numbers[pair + 1] {
                    all[scalar].insert(flag)
                    scalar += 1
                }
            }
        }

        let runs = UnicodeTables.numbers(in: UnicodeTables.combiningClasses)
        var classes: [UInt32: UInt8] = [:]
        var scalar = 0
        for run in stride(from: 0, to: runs.count, by: 3) {
            scalar += runs[run]
            for _ in 0..<runs[run + 1] {
                all[scalar].insert(.combining)
                classes[UInt32(scalar)] = UInt8(runs[run + 2])
                scalar += 1
            }
        }
        combiningClasses = classes

        decompositions = ScalarMapping(UnicodeTables.decompositions)
        for scalar in decompositions.scalars { all[Int(scalar)].insert(.decomposes) }
        for scalar in Hangul.syllables { all[Int(scalar)].insert(.decomposes) }
        lowercase = ScalarMapping(UnicodeTables.lowercase)
        for scalar in lowercase.scalars { all[Int(scalar)].insert(.hasLowercase) }

        var places: [ArraySlice<UInt16>: UInt16] = [:]
        var blocks: [UInt16] = []
        var flags: [Flags] = []
        let raw = all.map(\.rawValue)
        for start in stride(from: 0, to: raw.count, by: 256) {
            let block = raw[start..<start + 256]
            if let place = places[block] {
                blocks.append(place)
            } else {
                let place = UInt16(flags.count / 256)
                places[block] = place
                blocks.append(place)
                flags.append(contentsOf: all[start..<start + 256])
            }
        }
        self.blocks = blocks
        self.flags = flags
    }

    @inline(__always)
    subscript(scalar: UInt32) -> Flags {
        flags[Int(blocks[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)]
    }

    /// 0 for starters.
    func combiningClass(of scalar: UInt32) -> UInt8 { combiningClasses[scalar] ?? 0 }

    /// The full canonical decomposition of a scalar that has one.
    func decomposition(of scalar: UInt32) -> ArraySlice<UInt32> {
        Hangul.syllables.contains(scalar) ? Hangul.jamo(of: scalar)[...] : decompositions[scalar]
    }

    /// The lower case of a scalar that has one.
    func lowercase(of scalar: UInt32) -> ArraySlice<UInt32> { lowercase[scalar] }
}

/// Scalars that become one or more others.
private struct ScalarMapping: Sendable {
    private let ranges: [UInt32: Range<Int>]
    private let targets: [UInt32]

    init(_ table: StaticString) {
        let numbers = UnicodeTables.numbers(in: table)
        var ranges: [UInt32: Range<Int>] = [:]
        var scalar = 0
        var index = 0
        while index < numbers.count {
            scalar += numbers[index]
            let start = index + 2
            ranges[UInt32(scalar)] = start..<start + numbers[index + 1]
            index = start + numbers[index + 1]
        }
        self.ranges = ranges
        targets = numbers.map(UInt32.init)
    }

    var scalars: Dictionary<UInt32, Range<Int>>.Keys { ranges.keys }

    subscript(scalar: UInt32) -> ArraySlice<UInt32> {
        ranges[scalar].map { targets[$0] } ?? [scalar]
    }
}

/// The syllables whose decomposition is arithmetic (The Unicode Standard, 3.12).
private enum Hangul {
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3

    static func jamo(of syllable: UInt32) -> [UInt32] {
        let index = syllable - syllables.lowerBound
        let jamo = [0x1100 + index / 588, 0x1161 + index % 588 / 28]
        return index % 28 == 0 ? jamo : jamo + [0x11A7 + index % 28]
    }
}

extension UnicodeTables {
    fileprivate static func numbers(in table: StaticString) -> [Int] {
        var numbers: [Int] = []
        var number = 0
        for byte in UnsafeBufferPointer(start: table.utf8Start, count: table.utf8CodeUnitCount) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number * 36 + Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): number = number * 36 + Int(byte - UInt8(ascii: "a")) + 10
            default:
                numbers.append(number)
                number = 0
            }
        }
        numbers.append(number)
        return numbers
    }
}
