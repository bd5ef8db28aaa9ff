import ArgumentParser
package import Embeddings
package import JSON

/// How `ovenbird embed` writes vectors.
package enum EmbeddingFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// `{"id","embedding":[…]}` lines, with `"truncated":true` where the text lost its end.
    case ndjson
    /// Little-endian float32, row-major, no header.
    case f32
    /// NumPy's format 1.0 over the same floats.
    case npy
}

/// Writes embeddings in the order in which they come.
package struct EmbeddingWriter: ~Copyable {
    private var file: OutputFile
    private let format: EmbeddingFormat
    private let dimensions: Int
    private var rowCount = 0

    package init(path: String, format: EmbeddingFormat, dimensions: Int) throws(CommandFailure) {
        if format == .npy && path == "-" {
            throw .usage(
                "--format npy needs --output FILE: its header holds the number of rows, which is known at the end")
        }
        var file = try OutputFile(path: path)
        // Room for the header, which is written at the end.
        if format == .npy { try file.write(Self.npyHeader(rows: 0, columns: dimensions)) }
        self.file = file
        self.format = format
        self.dimensions = dimensions
    }

    package mutating func write(id: JSONValue, embedding: Embedding) throws(CommandFailure) {
        rowCount += 1
        guard format == .ndjson else { return try file.write(embedding.vector.values) }
        var line: [UInt8] = []
        line.reserveCapacity(32 + embedding.vector.dimensions * 13)
        line.append(contentsOf: "{\"id\":".utf8)
        id.write(to: &line)
        line.append(contentsOf: ",\"embedding\":[".utf8)
        for (place, value) in embedding.vector.values.enumerated() {
            if place > 0 { line.append(UInt8(ascii: ",")) }
            // Swift prints the shortest digits that read back as the same float, and they are JSON.
            line.append(contentsOf: value.description.utf8)
        }
        line.append(contentsOf: (embedding.isTruncated ? "],\"truncated\":true}\n" : "]}\n").utf8)
        try file.write(line)
    }

    package mutating func finish() throws(CommandFailure) {
        try file.flush()
        if format == .npy { try file.overwriteStart(with: Self.npyHeader(rows: rowCount, columns: dimensions)) }
    }

    /// 128 bytes whatever the counts (NumPy's format 1.0: magic, version, header length, a Python dictionary, padding).
    static func npyHeader(rows: Int, columns: Int) -> [UInt8] {
        let dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
        let headerLength = 128 - 10
        var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(headerLength), 0]
        bytes += Array(dictionary.utf8)
        bytes += [UInt8](repeating: 0x20, count: 128 - 1 - bytes.count) + [0x0A]
        return bytes
    }
}
