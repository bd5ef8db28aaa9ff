import Foundation
import JSON

/// Reads answers whole: one vector for each text, in its place, of one width, of finite numbers that are not all zero.
package struct AnswerCheck: Sendable {
    /// Of the first vector; all others must be as wide.
    private var dimensions: Int?

    package init() {}

    /// What is wrong with an answer's body; nil where nothing is.
    package mutating func complaint(_ bytes: [UInt8], textCount: Int) -> String? {
        // Why it is no JSON matters less than that it is none.
        guard let data = (try? JSONValue(parsing: bytes))?.object?["data"]?.array else { return "no list of data" }
        guard data.count == textCount else { return "\(data.count) vectors for \(textCount) texts" }
        for (place, item) in data.enumerated() {
            guard let item = item.object, item["index"]?.number?.integer == place else {
                return "a vector out of its place"
            }
            guard let values = item["embedding"].flatMap(Self.values), !values.isEmpty else { return "no vector" }
            guard values.count == dimensions ?? values.count else { return "vectors of several widths" }
            dimensions = values.count
            guard values.allSatisfy(\.isFinite), values.contains(where: { $0 != 0 }) else {
                return "a vector that is not finite, or zero"
            }
        }
        return nil
    }

    /// A list of numbers, or base64 of little-endian float32.
    private static func values(_ value: JSONValue) -> [Float]? {
        switch value {
        case .array(let elements):
            let numbers = elements.compactMap { $0.number.map { Float($0.value) } }
            return numbers.count == elements.count ? numbers : nil
        case .string(let text):
            guard let data = Data(base64Encoded: text), data.count.isMultiple(of: 4) else { return nil }
            let bytes = [UInt8](data)
            return stride(from: 0, to: bytes.count, by: 4).map { start in
                let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
                return Float(bitPattern: bits)
            }
        default: return nil
        }
    }
}
