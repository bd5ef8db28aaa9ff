import Embeddings
import JSON

/// Bytes on PostgreSQL's disk, by its page layout; every document is taken for a new one.
struct StorageEstimate {
    private(set) var vectorBytes: Int
    private(set) var documentBytes: Int
    private(set) var indexBytes: Int
    var totalBytes: Int { vectorBytes + documentBytes + indexBytes }

    private static let pageBytes = 8_192
    /// Without the page's header.
    private static let usableBytes = 8_168

    /// - Parameters:
    ///   - documentBytes: of all inputs by `documentBytes(id:_:)`.
    ///   - isStored: whether documents go into a collection; else there are results alone, one for equal texts.
    init(dimensions: Int, inputCount: Int, distinctCount: Int, documentBytes: Int, isStored: Bool) {
        // 24 bytes of row header and 4 of its pointer.
        let vector = 28 + 8 + 8 + 2 * dimensions
        // A key of 8 bytes takes 20 in a B-tree that is filled to nine tenths.
        let key = 23
        if isStored {
            vectorBytes = Self.bytes(rowCount: inputCount, rowBytes: vector) + inputCount * key
            self.documentBytes = documentBytes
            indexBytes = Self.graphBytes(rowCount: inputCount, dimensions: dimensions)
        } else {
            // Beside the vector: the place in the job, tokens, the text's hash.
            vectorBytes =
                Self.bytes(rowCount: distinctCount, rowBytes: vector + 52)
                + (inputCount - distinctCount) * 96 + inputCount * key
            self.documentBytes = 0
            indexBytes = 0
        }
    }

    /// A row of 150 bytes beside its texts, and its two keys; texts of over 2 KB are stored compressed, which nobody can
    /// foretell.
    static func documentBytes(id: String, _ content: JobInput.Content) -> Int {
        var metadata: [UInt8] = []
        if !content.metadata.isEmpty { JSONValue.object(content.metadata).write(to: &metadata) }
        return 150 + 2 * id.utf8.count + 46 + content.text.utf8.count + metadata.count
    }

    private static func bytes(rowCount: Int, rowBytes: Int) -> Int {
        let rowsPerPage = max(1, usableBytes / rowBytes)
        return (rowCount + rowsPerPage - 1) / rowsPerPage * pageBytes
    }

    /// pgvector's HNSW over halfvec with m = 16: an element and its neighbours' list, both aligned to 8 bytes, with a
    /// pointer each, in 8,160 bytes a page (hnswutils.c; agrees with indexes of 990,000 and of 3,000 rows to the page).
    static func graphBytes(rowCount: Int, dimensions: Int) -> Int {
        let element = (72 + 8 + 2 * dimensions + 7) / 8 * 8
        let neighbours = (4 + 6 * 2 * 16 + 7) / 8 * 8
        let elementsPerPage = max(1, 8_160 / (element + neighbours + 8))
        return (rowCount + elementsPerPage - 1) / elementsPerPage * pageBytes
    }
}
