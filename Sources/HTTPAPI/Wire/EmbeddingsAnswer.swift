import Embeddings
import JSON

/// The answer of `POST /v1/embeddings`, written straight into one buffer.
struct EmbeddingsAnswer {
    /// One an input.
    let results: [Result<Embedding, APIError>]
    let dimensions: Int
    let encoding: EmbeddingsBody.VectorEncoding
    let modelName: String
    /// With `perInput` the answer lists the inputs that failed, none of them too.
    let failurePolicy: FailurePolicy

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        let bytesPerValue = encoding == .base64 ? 6 : 14
        bytes.reserveCapacity(256 + results.count * (64 + dimensions * bytesPerValue))
        bytes.append(contentsOf: #"{"object":"list","data":["#.utf8)
        var tokenCount = 0
        var truncated: [JSONValue] = []
        var failed: [JSONValue] = []
        for (index, result) in results.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: #"{"object":"embedding","index":\#(index),"embedding":"#.utf8)
            switch result {
            case .success(let embedding):
                tokenCount += embedding.tokenCount
                if embedding.isTruncated { truncated.append(.number(JSONNumber(index))) }
                let vector = embedding.vector.cut(to: dimensions)
                switch encoding {
                case .float: vector.writeJSON(to: &bytes)
                case .base64: vector.writeBase64(to: &bytes)
                }
            case .failure(let error):
                failed.append(.number(JSONNumber(index)))
                bytes.append(contentsOf: #"null,"error":"#.utf8)
                error.object.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(contentsOf: #"],"model":"#.utf8)
        modelName.writeJSON(to: &bytes)
        bytes.append(
            contentsOf:
                #","usage":{"prompt_tokens":\#(tokenCount),"total_tokens":\#(tokenCount),"#.utf8)
        bytes.append(contentsOf: #""truncated_inputs":\#(truncated.count)},"truncated":"#.utf8)
        JSONValue.array(truncated).write(to: &bytes)
        if failurePolicy == .perInput {
            bytes.append(contentsOf: #","errors":"#.utf8)
            JSONValue.array(failed).write(to: &bytes)
        }
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
