/// What the rest of the system needs to know of the served model.
package struct ModelDescription: Sendable, Equatable {
    /// The name that answers carry.
    package let name: String
    /// Every name under which requests may ask for it; holds `name`.
    package let servedNames: [String]
    package let dimensions: Int
    /// Tokens an input may have, special tokens included.
    package let maximumSequenceLength: Int
    package let vocabularySize: Int
    package let precision: Precision
    package let fingerprint: ModelFingerprint

    package init(
        name: String, servedNames: [String], dimensions: Int, maximumSequenceLength: Int, vocabularySize: Int,
        precision: Precision, fingerprint: ModelFingerprint
    ) {
        self.name = name
        self.servedNames = servedNames.contains(name) ? servedNames : [name] + servedNames
        self.dimensions = dimensions
        self.maximumSequenceLength = maximumSequenceLength
        self.vocabularySize = vocabularySize
        self.precision = precision
        self.fingerprint = fingerprint
    }
}

/// The arithmetic of the encoder's dense layers.
package enum Precision: String, Sendable, CaseIterable {
    case fp32
    case bf16
    case int8

    /// Vectors of one class may be compared with each other; fp32 and bf16 agree to a cosine of 0.9999 and better.
    package var fingerprintClass: String {
        switch self {
        case .fp32, .bf16: "float"
        case .int8: "int8"
        }
    }
}

/// Everything that decides what vector a text gets, as a SHA-256 (32 bytes): weights, tokenizer, pooling, prompts, length
/// limit, normalisation, dimensions and precision class. Vectors of two fingerprints are never compared.
package struct ModelFingerprint: Sendable, Hashable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// - Precondition: 32 bytes.
    package init(bytes: [UInt8]) {
        precondition(bytes.count == 32)
        self.bytes = bytes
    }

    /// 64 hexadecimal digits.
    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
