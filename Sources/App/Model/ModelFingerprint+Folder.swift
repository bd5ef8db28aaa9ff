import Crypto
import Embeddings
import Foundation

extension ModelFingerprint {
    /// Hashes everything that decides a text's vector.
    ///
    /// - Parameters:
    ///   - files: the folder's files whose bytes count, by name.
    ///   - facts: what counts beside the bytes, by name; each name once.
    init(files: [(name: String, path: String)], facts: [(name: String, value: String)]) throws {
        var lines: [String] = []
        for file in files {
            lines.append("\(file.name)=\(try Self.digest(ofFile: file.path))")
        }
        for fact in facts { lines.append("\(fact.name)=\(fact.value)") }
        // Version 1 of this recipe; a change of what is hashed, or how, takes the next number.
        let recipe = "ovenbird fingerprint 1\n" + lines.sorted().joined(separator: "\n")
        self.init(bytes: Array(SHA256.hash(data: Data(recipe.utf8))))
    }

    private static func digest(ofFile path: String) throws -> String {
        // Piece by piece: a mapped file would stand in memory whole beside the weights that were read from it.
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        var hash = SHA256()
        while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty { hash.update(data: piece) }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
