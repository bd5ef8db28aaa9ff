/// The switches of a `BertNormalizer`, and what they do to a text, in this order: clean, set Chinese characters apart,
/// strip accents, lower case.
struct BertNormalizer: Sendable {
    var cleansText: Bool
    var separatesChinese: Bool
    var stripsAccents: Bool
    var lowercases: Bool
    /// Lower case before all else, which `do_lower_case` of sentence-transformers adds to a normalizer without it.
    var lowercasesFirst = false

    /// What no normalizer does.
    static let identity = BertNormalizer(
        cleansText: false, separatesChinese: false, stripsAccents: false, lowercases: false)

    /// Feeds the normalized text of `bytes`, which are valid UTF-8, to the sink, until the sink has enough.
    func normalize(_ bytes: Span<UInt8>, into sink: inout some NormalizedTextSink) {
        var accents = AccentBuffer()
        var index = 0
        normalize(bytes, from: &index, into: &sink, accents: &accents) { _ in false }
    }

    /// The same from `index` on, up to the next ASCII byte for which `isEnd` is true; `index` moves there. What was fed
    /// is complete there, since no ASCII byte changes with what stands before it.
    ///
    /// - Parameter accents: empty, and empty again afterwards.
    @inline(__always)
    func normalize(
        _ bytes: Span<UInt8>, from index: inout Int, into sink: inout some NormalizedTextSink,
        accents: inout AccentBuffer, until isEnd: (UInt8) -> Bool
    ) {
        while index < bytes.count, !sink.hasEnough {
            let byte = bytes[index]
            if byte < 0x80 {
                if isEnd(byte) { break }
                if !accents.isEmpty { flush(&accents, into: &sink) }
                appendASCII(byte, to: &sink)
                index += 1
            } else {
                let scalar = decodeScalar(in: bytes, at: &index)
                if lowercasesFirst, ScalarProperties.shared[scalar].contains(.hasLowercase) {
                    for lowercase in ScalarProperties.shared.lowercase(of: scalar) {
                        clean(lowercase, into: &sink, accents: &accents)
                    }
                } else {
                    clean(scalar, into: &sink, accents: &accents)
                }
            }
        }
        flush(&accents, into: &sink)
    }

    @inline(__always)
    private func appendASCII(_ byte: UInt8, to sink: inout some NormalizedTextSink) {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"):
            sink.append(ascii: lowercases || lowercasesFirst ? byte | 0x20 : byte)
        case 0x21...0x7E: sink.append(ascii: byte)
        case 0x20: sink.append(ascii: byte)
        default:
            guard cleansText else { return sink.append(ascii: byte) }
            let flags = ScalarProperties.shared[UInt32(byte)]
            if flags.contains(.removed) { return }
            sink.append(ascii: flags.contains(.whitespace) ? 0x20 : byte)
        }
    }

    private func clean(_ scalar: UInt32, into sink: inout some NormalizedTextSink, accents: inout AccentBuffer) {
        let flags = ScalarProperties.shared[scalar]
        if cleansText, flags.contains(.removed) { return }
        if cleansText, flags.contains(.whitespace) {
            strip(0x20, into: &sink, accents: &accents)
        } else if separatesChinese, flags.contains(.chinese) {
            strip(0x20, into: &sink, accents: &accents)
            strip(scalar, into: &sink, accents: &accents)
            strip(0x20, into: &sink, accents: &accents)
        } else {
            strip(scalar, into: &sink, accents: &accents)
        }
    }

    private func strip(_ scalar: UInt32, into sink: inout some NormalizedTextSink, accents: inout AccentBuffer) {
        guard stripsAccents else { return lowercase(scalar, into: &sink) }
        if ScalarProperties.shared[scalar].contains(.decomposes) {
            for part in ScalarProperties.shared.decomposition(of: scalar) {
                order(part, into: &sink, accents: &accents)
            }
        } else {
            order(scalar, into: &sink, accents: &accents)
        }
    }

    private func order(_ scalar: UInt32, into sink: inout some NormalizedTextSink, accents: inout AccentBuffer) {
        let flags = ScalarProperties.shared[scalar]
        if flags.contains(.combining) {
            accents.append(scalar, combiningClass: ScalarProperties.shared.combiningClass(of: scalar))
        } else {
            if !accents.isEmpty { flush(&accents, into: &sink) }
            if !flags.contains(.mark) { lowercase(scalar, into: &sink) }
        }
    }

    private func flush(_ accents: inout AccentBuffer, into sink: inout some NormalizedTextSink) {
        accents.takeInOrder { scalar in
            if !ScalarProperties.shared[scalar].contains(.mark) { lowercase(scalar, into: &sink) }
        }
    }

    private func lowercase(_ scalar: UInt32, into sink: inout some NormalizedTextSink) {
        if lowercases, ScalarProperties.shared[scalar].contains(.hasLowercase) {
            for lowercase in ScalarProperties.shared.lowercase(of: scalar) { sink.append(lowercase) }
        } else {
            sink.append(scalar)
        }
    }
}

/// Takes a normalized text, scalar by scalar.
protocol NormalizedTextSink {
    /// Whether more text would change nothing.
    var hasEnough: Bool { get }
    mutating func append(ascii byte: UInt8)
    mutating func append(_ scalar: UInt32)
}

/// A normalized text as UTF-8, for added tokens that are looked for in it.
struct NormalizedText: NormalizedTextSink {
    private(set) var bytes: [UInt8] = []

    var hasEnough: Bool { false }

    mutating func append(ascii byte: UInt8) { bytes.append(byte) }

    mutating func append(_ scalar: UInt32) { bytes.append(scalar: scalar) }
}

/// A run of scalars with combining classes, which canonical order sorts by class; equal classes keep their order.
struct AccentBuffer: Sendable {
    /// Class in the upper 8 bits, place in the run in the next 32, scalar in the lower 24.
    private var entries: [UInt64] = []

    var isEmpty: Bool { entries.isEmpty }

    mutating func append(_ scalar: UInt32, combiningClass: UInt8) {
        entries.append(UInt64(combiningClass) << 56 | UInt64(UInt32(entries.count)) << 24 | UInt64(scalar))
    }

    mutating func takeInOrder(_ body: (UInt32) -> Void) {
        if entries.count > 1 { entries.sort() }
        for entry in entries { body(UInt32(entry & 0xFF_FFFF)) }
        entries.removeAll(keepingCapacity: true)
    }
}
