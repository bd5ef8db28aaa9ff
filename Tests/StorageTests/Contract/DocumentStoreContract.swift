import Embeddings
import JSON
import Storage
import Testing

/// What every `DocumentStore` owes to those who call it. Each claim makes collections of its own, so claims can be checked
/// side by side on one store.
struct StoreClaim: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let check: @Sendable (any DocumentStore) async throws -> Void

    init(_ name: String, _ check: @escaping @Sendable (any DocumentStore) async throws -> Void) {
        testDescription = name
        self.check = check
    }

    static let all: [StoreClaim] = collections + documents + searches + filters
}

/// Makes what the claims need.
enum Sample {
    static func model(_ name: String = "model", fingerprint: UInt8 = 1, dimensions: Int = 4) -> ModelDescription {
        ModelDescription(
            name: name, servedNames: [], dimensions: dimensions, maximumSequenceLength: 256, vocabularySize: 1_000,
            precision: .fp32, fingerprint: ModelFingerprint(bytes: Array(repeating: fingerprint, count: 32)))
    }

    static func name(_ prefix: String = "c") throws -> CollectionName {
        try #require(CollectionName("\(prefix)-\(UInt64.random(in: 0 ... .max))"))
    }

    static func collection(
        in store: any DocumentStore, dimensions: Int = 4
    ) async throws -> DocumentCollection {
        let specification = CollectionSpecification(name: try name(), model: model(dimensions: dimensions))
        guard case .created(let collection) = try await store.createCollection(specification) else {
            throw ContractBroken("a new name was there already")
        }
        return collection
    }

    static func draft(_ id: String, _ text: String = "text", _ metadata: String = "{}") throws -> DocumentDraft {
        DocumentDraft(id: id, text: text, metadata: try #require(try JSONValue(parsing: metadata).object))
    }

    static func embedding(_ values: [Float], tokenCount: Int = 3, isTruncated: Bool = false) -> Embedding {
        Embedding(vector: EmbeddingVector(values), tokenCount: tokenCount, isTruncated: isTruncated)
    }

    static func write(
        _ id: String, _ text: String = "text", _ metadata: String = "{}", vector: [Float] = [1, 0, 0, 0]
    ) throws -> DocumentWrite {
        DocumentWrite(draft: try draft(id, text, metadata), embedding: embedding(vector))
    }

    static func writeMetadata(_ id: String, _ text: String, _ metadata: String) throws -> DocumentWrite {
        DocumentWrite(draft: try draft(id, text, metadata), embedding: nil)
    }

    /// Unit vectors from a seed.
    static func vectors(_ count: Int, dimensions: Int, seed: UInt64) -> [EmbeddingVector] {
        var generator = SplitMix64(state: seed)
        return (0..<count).map { _ in
            let values = (0..<dimensions).map { _ in Float.random(in: -1...1, using: &generator) }
            return EmbeddingVector(values).normalized() ?? EmbeddingVector(values)
        }
    }
}

struct ContractBroken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
