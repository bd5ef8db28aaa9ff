import Embeddings
import JSON

/// The answer of `POST /v1/embeddings`, written straight into one buffer.
struct EmbeddingsAnswer {
    let embeddings: [Embedding]
    let dimensions: Int
    let encoding: EmbeddingsBody.VectorEncoding
    let modelName: String

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        let bytesPerValue = encoding == .base64 ? 6 : 14
        bytes.reserveCapacity(256 + embeddings.count * (64 + dimensions * bytesPerValue))
        bytes.append(contentsOf: #"{"object":"list","data":["#.utf8)
        for (index, embedding) in embeddings.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: #"{"object":"embedding","index":\#(index),"embedding":"#.utf8)
            let vector = embedding.vector.cut(to: dimensions)
            switch encoding {
            case .float: vector.writeJSON(to: &bytes)
            case .base64: vector.writeBase64(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(contentsOf: #"],"model":"#.utf8)
        modelName.writeJSON(to: &bytes)
        let tokenCount = embeddings.reduce(0) { $0 + $1.tokenCount }
        let truncated = embeddings.indices.filter { embeddings[$0].isTruncated }
        bytes.append(
            contentsOf:
                #","usage":{"prompt_tokens":\#(tokenCount),"total_tokens":\#(tokenCount),"#.utf8)
        bytes.append(contentsOf: #""truncated_inputs":\#(truncated.count)},"truncated":"#.utf8)
        JSONValue.array(truncated.map { .number(JSONNumber($0)) }).write(to: &bytes)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}

extension EmbeddingVector {
    /// A JSON list of the shortest digits that read back as the same floats.
    ///
    /// - Precondition: every value is finite; `Float.description` then is a JSON number.
    func writeJSON(to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: value.description.utf8)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// A JSON string: base64 (RFC 4648, padded) of little-endian float32.
    func writeBase64(to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var accumulator: UInt64 = 0
        var bitCount = 0
        for value in values {
            // Three floats fill sixteen digits; digits are taken from the top as soon as there are six bits.
            accumulator = accumulator << 32 | UInt64(value.bitPattern.byteSwapped)
            bitCount += 32
            while bitCount >= 6 {
                bitCount -= 6
                bytes.append(Self.base64Digits[Int(accumulator >> UInt64(bitCount) & 63)])
            }
            accumulator &= (1 << UInt64(bitCount)) - 1
        }
        if bitCount > 0 {
            bytes.append(Self.base64Digits[Int(accumulator << UInt64(6 - bitCount) & 63)])
        }
        // One float over a multiple of three ends in two bytes' worth of padding, two floats in one.
        for _ in 0..<[0, 2, 1][values.count % 3] { bytes.append(UInt8(ascii: "=")) }
        bytes.append(UInt8(ascii: "\""))
    }

    private static let base64Digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}
