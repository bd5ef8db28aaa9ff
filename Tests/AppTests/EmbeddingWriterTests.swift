import App
import Embeddings
import Foundation
import JSON
import Testing

struct EmbeddingWriterTests {
    private let embeddings = [
        Embedding(vector: EmbeddingVector([0.5, -1.25]), tokenCount: 3, isTruncated: false),
        Embedding(vector: EmbeddingVector([1e-20, 3]), tokenCount: 3, isTruncated: true),
    ]

    private func written(_ format: EmbeddingFormat) throws -> Data {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("vectors-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }  // a left-over temporary file harms nobody
        var writer = try EmbeddingWriter(path: path, format: format, dimensions: 2)
        try writer.write(id: "a\"", embedding: embeddings[0])
        try writer.write(id: 7, embedding: embeddings[1])
        try writer.finish()
        return try Data(contentsOf: URL(fileURLWithPath: path))
    }

    private let rows = Data([0, 0, 0, 0x3F, 0, 0, 0xA0, 0xBF, 0x08, 0xE5, 0x3C, 0x1E, 0, 0, 0x40, 0x40])

    @Test func ndjsonTellsWhatWasCut() throws {
        let lines = String(decoding: try written(.ndjson), as: UTF8.self).split(separator: "\n")
        #expect(
            lines == [
                #"{"id":"a\"","embedding":[0.5,-1.25]}"#, #"{"id":7,"embedding":[1e-20,3.0],"truncated":true}"#,
            ])
    }

    @Test func f32IsLittleEndianRowsWithoutAHeader() throws {
        #expect(try written(.f32) == rows)
    }

    @Test func npyCarriesItsShape() throws {
        let file = try written(.npy)
        #expect(file.prefix(10) == Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, 118, 0]))
        let header = String(decoding: file[10..<128], as: UTF8.self)
        #expect(header.hasPrefix("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"))
        #expect(header.hasSuffix(" \n"))
        #expect(file[128...] == rows)
    }

    @Test func npyCannotGoIntoAPipe() throws {
        let failure = try #require(throws: CommandFailure.self) {
            _ = try EmbeddingWriter(path: "-", format: .npy, dimensions: 2)
        }
        #expect(failure.exitCode == 64)
    }
}
