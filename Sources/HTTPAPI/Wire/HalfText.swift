import Embeddings

/// The shortest decimal of every half that reads back as the same float32. The store keeps halves, so a job's results hold
/// no other numbers: a look into a table of one megabyte takes a tenth of the time of finding the digits.
enum HalfText {
    /// Sixteen bytes a half: up to fourteen of text, and in the last one their number.
    private static let table: [UInt8] = {
        var table = [UInt8](repeating: 0, count: 16 << 16)
        for pattern in 0...UInt16.max {
            let text = Float(Float16(bitPattern: pattern)).description.utf8
            let start = Int(pattern) * 16
            for (place, byte) in text.enumerated() { table[start + place] = byte }
            table[start + 15] = UInt8(text.count)
        }
        return table
    }()

    /// Appends a JSON list of the vector's values.
    ///
    /// - Precondition: every value is finite.
    static func writeJSON(_ vector: EmbeddingVector, to bytes: inout [UInt8]) {
        let table = table
        bytes.append(UInt8(ascii: "["))
        for (index, value) in vector.values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            let half = Float16(value)
            if Float(half) == value {
                let start = Int(half.bitPattern) * 16
                bytes.append(contentsOf: table[start..<(start + Int(table[start + 15]))])
            } else {
                bytes.append(contentsOf: value.description.utf8)
            }
        }
        bytes.append(UInt8(ascii: "]"))
    }
}
