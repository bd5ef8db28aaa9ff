import JSON

/// A safetensors file, mapped and checked whole before any tensor is read.
///
/// Checked as the format's own reader does: header length, header JSON, every tensor's offsets inside the file, without
/// overlap or gap, and shape times element size equal to the byte range. Beyond it: no tensor is named twice.
/// https://github.com/huggingface/safetensors#format
struct SafetensorsFile: ~Copyable {
    struct Tensor: Equatable {
        let dtype: String
        let shape: [Int]
        /// Bytes behind the header.
        let range: Range<Int>
    }

    let name: String
    let tensors: [String: Tensor]
    private let file: MappedFile
    /// Where the tensors' bytes begin.
    private let dataOffset: Int

    /// The format's own limit.
    private static let maximumHeaderByteCount = 100_000_000

    init(directory: String, name: String) throws(ModelError) {
        let file = try MappedFile(directory: directory, name: name)
        let (header, dataOffset, dataByteCount) = try file.withBytes { bytes throws(ModelError) in
            try Self.header(of: bytes, file: name)
        }
        tensors = try Self.tensors(header, dataByteCount: dataByteCount, file: name)
        self.name = name
        self.file = file
        self.dataOffset = dataOffset
    }

    /// Lends one tensor's bytes, which may stand at any alignment.
    func withBytes(of tensor: Tensor, _ body: (UnsafeRawBufferPointer) throws(ModelError) -> Void) throws(ModelError) {
        try file.withBytes { bytes throws(ModelError) in
            let lower = dataOffset + tensor.range.lowerBound
            try body(UnsafeRawBufferPointer(rebasing: bytes[lower..<dataOffset + tensor.range.upperBound]))
        }
        // Each is read once: what was copied need not stay beside its copy.
        file.forget(dataOffset + tensor.range.lowerBound..<dataOffset + tensor.range.upperBound)
    }

    private static func header(
        of bytes: UnsafeRawBufferPointer, file: String
    ) throws(ModelError) -> (JSONObject, dataOffset: Int, dataByteCount: Int) {
        guard bytes.count >= 8 else { throw .malformed(file: file, reason: "\(bytes.count) bytes, too short") }
        let declared = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard declared <= maximumHeaderByteCount, declared <= bytes.count - 8 else {
            throw .malformed(
                file: file, reason: "a header of \(declared) bytes in a file of \(bytes.count) (limit 100 MB)")
        }
        let length = Int(declared)
        let text = Array(bytes[8..<8 + length])
        guard text.first == UInt8(ascii: "{") else {
            throw .malformed(file: file, reason: "the header is not a JSON object")
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: text)
        } catch {
            throw .malformed(file: file, reason: "header: \(error.description)")
        }
        guard case .object(let object) = value else {
            throw .malformed(file: file, reason: "the header holds \(value.typeName)")
        }
        // The JSON reader keeps the last of two equal keys; the text still shows both.
        guard outerMemberCount(text) == object.members.count else {
            throw .malformed(file: file, reason: "the header names a tensor twice")
        }
        return (object, 8 + length, bytes.count - 8 - length)
    }

    /// Members of the outermost object of a valid JSON text, equal keys counted each.
    private static func outerMemberCount(_ text: [UInt8]) -> Int {
        var depth = 0
        var count = 0
        var inString = false
        var isEscaped = false
        for byte in text {
            if inString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): inString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: ":"): count += depth == 1 ? 1 : 0
            default: break
            }
        }
        return count
    }

    private static func tensors(
        _ header: JSONObject, dataByteCount: Int, file: String
    ) throws(ModelError) -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        for member in header.members where member.key != "__metadata__" {
            tensors[member.key] = try tensor(member.key, member.value, dataByteCount: dataByteCount, file: file)
        }
        let ordered = tensors.sorted {
            ($0.value.range.lowerBound, $0.value.range.upperBound, $0.key)
                < ($1.value.range.lowerBound, $1.value.range.upperBound, $1.key)
        }
        var end = 0
        for (name, tensor) in ordered {
            guard tensor.range.lowerBound == end else {
                let start = tensor.range.lowerBound
                let fault = start < end ? "overlaps the tensor before it" : "leaves a gap before it"
                throw .tensor(file: file, name: name, reason: "\(fault) (begins at \(start), not \(end))")
            }
            end = tensor.range.upperBound
        }
        guard end == dataByteCount else {
            throw .malformed(file: file, reason: "the tensors end at byte \(end) of \(dataByteCount)")
        }
        return tensors
    }

    private static func tensor(
        _ name: String, _ value: JSONValue, dataByteCount: Int, file: String
    ) throws(ModelError) -> Tensor {
        func fault(_ reason: String) -> ModelError { .tensor(file: file, name: name, reason: reason) }
        guard let object = value.object, let dtype = object["dtype"]?.string,
            let shape = nonNegativeIntegers(object["shape"]), let offsets = nonNegativeIntegers(object["data_offsets"]),
            offsets.count == 2
        else { throw fault("needs dtype, shape and two data_offsets, in non-negative integers") }
        guard offsets[0] <= offsets[1], offsets[1] <= dataByteCount else {
            throw fault("has data_offsets \(offsets[0])..<\(offsets[1]), outside \(dataByteCount) bytes")
        }
        var bitCount = elementBitCount(dtype)
        guard bitCount != nil else { throw fault("has the unknown dtype \(dtype.prefix(40))") }
        for extent in shape {
            guard let product = bitCount?.multipliedReportingOverflow(by: extent), !product.overflow else {
                throw fault("has a shape whose size overflows")
            }
            bitCount = product.partialValue
        }
        guard let bitCount, bitCount.isMultiple(of: 8), bitCount / 8 == offsets[1] - offsets[0] else {
            throw fault("of \(dtype) \(shape) does not fill its \(offsets[1] - offsets[0]) bytes")
        }
        return Tensor(dtype: dtype, shape: shape, range: offsets[0]..<offsets[1])
    }

    private static func nonNegativeIntegers(_ value: JSONValue?) -> [Int]? {
        guard let array = value?.array else { return nil }
        let integers = array.compactMap { $0.number?.integer }
        return integers.count == array.count && integers.allSatisfy { $0 >= 0 } ? integers : nil
    }

    /// The element types that safetensors 0.8 knows.
    private static func elementBitCount(_ dtype: String) -> Int? {
        switch dtype {
        case "F4": 4
        case "F6_E2M3", "F6_E3M2": 6
        case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ": 8
        case "I16", "U16", "F16", "BF16": 16
        case "I32", "U32", "F32": 32
        case "I64", "U64", "F64", "C64": 64
        default: nil
        }
    }
}
