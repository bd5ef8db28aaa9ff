import Embeddings
import Inference
import Testing

/// Truncated and hostile weight files end in a `ModelError`, never in a crash.
struct SafetensorsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let header: String
        let dataByteCount: Int
        let complaint: String
        var testDescription: String { complaint + " " + header.prefix(60) }
    }

    private static func entry(_ dtype: String, _ shape: String, _ offsets: String) -> String {
        #"{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":\#(offsets)}"#
    }

    static let hostile: [Case] = [
        Case(header: "", dataByteCount: 8, complaint: "not a JSON object"),
        Case(header: "[]", dataByteCount: 0, complaint: "not a JSON object"),
        Case(header: #"  {"a":1}"#, dataByteCount: 0, complaint: "not a JSON object"),
        Case(header: #"{"a":"#, dataByteCount: 0, complaint: "unexpected end"),
        Case(header: #"{"a":{}} x"#, dataByteCount: 0, complaint: "unexpected text"),
        Case(header: #"{"a":1}"#, dataByteCount: 0, complaint: "tensor a needs"),
        Case(header: "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", dataByteCount: 4, complaint: "tensor a needs"),
        Case(header: "{\"a\":\(entry("F32", "[1]", "[0]"))}", dataByteCount: 4, complaint: "tensor a needs"),
        Case(header: "{\"a\":\(entry("F32", "[-1]", "[0,4]"))}", dataByteCount: 4, complaint: "tensor a needs"),
        Case(header: "{\"a\":\(entry("F32", "[1.5]", "[0,6]"))}", dataByteCount: 6, complaint: "tensor a needs"),
        Case(header: "{\"a\":\(entry("F32", "[1e400]", "[0,4]"))}", dataByteCount: 4, complaint: "tensor a needs"),
        Case(header: "{\"a\":\(entry("F32", "[1]", "[-4,0]"))}", dataByteCount: 4, complaint: "tensor a needs"),
        Case(header: "{\"a\":\(entry("F32", "[1]", "[4,0]"))}", dataByteCount: 4, complaint: "outside"),
        Case(header: "{\"a\":\(entry("F32", "[2]", "[0,8]"))}", dataByteCount: 4, complaint: "outside"),
        Case(
            header: "{\"a\":\(entry("F32", "[1]", "[9223372036854775803,9223372036854775807]"))}", dataByteCount: 4,
            complaint: "outside"),
        Case(
            header: "{\"a\":\(entry("F32", "[4611686018427387904,4]", "[0,4]"))}", dataByteCount: 4,
            complaint: "overflows"),
        Case(header: "{\"a\":\(entry("F32", "[3]", "[0,8]"))}", dataByteCount: 8, complaint: "does not fill"),
        Case(header: "{\"a\":\(entry("F99", "[1]", "[0,4]"))}", dataByteCount: 4, complaint: "unknown dtype F99"),
        Case(
            header: "{\"a\":\(entry("F32", "[2]", "[0,8]")),\"b\":\(entry("F32", "[2]", "[4,12]"))}", dataByteCount: 12,
            complaint: "overlaps"),
        Case(
            header: "{\"a\":\(entry("F32", "[1]", "[0,4]")),\"b\":\(entry("F32", "[1]", "[8,12]"))}", dataByteCount: 12,
            complaint: "leaves a gap"),
        Case(header: "{\"a\":\(entry("F32", "[1]", "[0,4]"))}", dataByteCount: 8, complaint: "end at byte 4 of 8"),
        Case(
            header: "{\"a\":\(entry("F32", "[1]", "[0,4]")),\"a\":\(entry("F32", "[1]", "[0,4]"))}", dataByteCount: 4,
            complaint: "names a tensor twice"),
        Case(
            header: "{\"a\":\(entry("F32", "[1]", "[0,4]")),\"\\u0061\":\(entry("U8", "[4]", "[0,4]"))}",
            dataByteCount: 4, complaint: "names a tensor twice"),
        Case(
            header: #"{"__metadata__":"# + String(repeating: "[", count: 100_000) + "}", dataByteCount: 0,
            complaint: "nested deeper"),
        Case(header: #"{"__metadata__":{"format":"pt"}}"#, dataByteCount: 0, complaint: "is missing"),
    ]

    @Test(arguments: hostile)
    func hostileHeadersAreRefused(hostile: Case) throws {
        let spoilt = try SpoiltModel()
        try spoilt.writeSafetensors(header: hostile.header, dataByteCount: hostile.dataByteCount)
        let failure = try #require(spoilt.loadFailure())
        #expect(failure.contains("model.safetensors") && failure.contains(hostile.complaint), "\(failure)")
    }

    @Test(arguments: [0, 1, 7, 8, 9, 100, 2_000, 20_000])
    func truncatedFilesAreRefused(byteCount: Int) throws {
        let spoilt = try SpoiltModel()
        try spoilt.write("model.safetensors", Array(try spoilt.read("model.safetensors").prefix(byteCount)))
        #expect(try #require(spoilt.loadFailure()).contains("model.safetensors"))
    }

    @Test func headersLongerThanTheFileAreRefused() throws {
        for length: [UInt8] in [
            [255, 255, 255, 255, 255, 255, 255, 255], [0, 0, 0, 0, 0, 0, 0, 128], [3, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let spoilt = try SpoiltModel()
            try spoilt.write("model.safetensors", length + [0x7B, 0x7D])
            #expect(try #require(spoilt.loadFailure()).contains("a header of"))
        }
    }

    /// Offsets count from the header's end, so a header of odd length shifts every tensor off its alignment.
    @Test func tensorsAtOddAddressesAreRead() throws {
        let bert = TinyBert.all[1]
        let spoilt = try SpoiltModel(bert)
        var bytes = try spoilt.read("model.safetensors")
        let length = Int(bytes[0]) + Int(bytes[1]) << 8
        bytes.insert(0x20, at: 8 + length)
        bytes[0] += 1
        try spoilt.write("model.safetensors", bytes)
        let original = try EncoderModel(directory: bert.directory)
        let shifted = try EncoderModel(directory: spoilt.directory)
        let batch = PaddedBatch(try bert.sequences())
        let vectors = [original, shifted].map {
            $0.encode(
                batch, layout: .packed,
                workspace: $0.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 64))
        }
        #expect(vectors[0] == vectors[1])
    }

    @Test func tensorsOfAnotherShapeOrTypeAreNamed() throws {
        let spoilt = try SpoiltModel()
        let original = try spoilt.read("model.safetensors")
        let header = String(decoding: original[8..<8 + Int(original[0]) + Int(original[1]) << 8], as: UTF8.self)
        func load(_ old: String, _ new: String) throws -> String {
            let text = header.replacing(old, with: new, maxReplacements: 1)
            #expect(text != header)
            let length = UInt64(text.utf8.count)
            let prefix = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) }
            try spoilt.write("model.safetensors", prefix + Array(text.utf8) + original[(8 + header.utf8.count)...])
            return try #require(spoilt.loadFailure())
        }
        #expect(try load("[101,17]", "[17,101]").contains("word_embeddings.weight has shape [17, 101]"))
        #expect(try load("word_embeddings", "word_embedding5").contains("word_embeddings.weight is missing"))
        let wide = try load("\"dtype\":\"F32\",\"shape\":[101,17]", "\"dtype\":\"I32\",\"shape\":[101,17]")
        #expect(wide.contains("word_embeddings.weight is I32, supported are F32, F16 and BF16"))
    }

    @Test func shardsAreRefusedByName() throws {
        let spoilt = try SpoiltModel()
        try spoilt.remove("model.safetensors")
        #expect(try #require(spoilt.loadFailure()).contains("model.safetensors: "))
        try spoilt.write("model.safetensors.index.json", "{}")
        #expect(try #require(spoilt.loadFailure()).contains("model.safetensors.index.json: weights in several files"))
    }

    @Test func theFileMayVanishOnceLoaded() throws {
        let spoilt = try SpoiltModel()
        let model = try EncoderModel(directory: spoilt.directory)
        try spoilt.remove("model.safetensors")
        let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 64)
        let bert = TinyBert.all[1]
        let vectors = model.encode(PaddedBatch(try bert.sequences()), layout: .packed, workspace: workspace)
        #expect(vectors.allSatisfy { $0.values.allSatisfy(\.isFinite) })
    }
}
