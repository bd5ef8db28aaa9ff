import Embeddings

/// A vector in half precision, as the database stores it: every value rounded to the nearest half, ties to even.
struct HalfVector: Sendable, Equatable {
    let values: [Float16]

    init(values: [Float16]) {
        self.values = values
    }

    /// Only the direction of a vector counts. One that half precision cannot hold in its own length, because a value is
    /// beyond ±65,504 or the whole of it would vanish, is brought to length 1 first.
    init(rounding vector: EmbeddingVector) {
        values = Self.inReach(vector).values.map(Float16.init)
    }

    /// The vector itself where half precision can hold it in its own length, else at length 1.
    static func inReach(_ vector: EmbeddingVector) -> EmbeddingVector {
        let norm = vector.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return (0.5...32_768).contains(norm) ? vector : vector.normalized() ?? vector
    }

    var widened: EmbeddingVector { EmbeddingVector(values.map(Float.init)) }

    /// Nil where either has no direction.
    func cosine(to other: HalfVector) -> Double? {
        var product = 0.0
        var ownSquare = 0.0
        var otherSquare = 0.0
        for (own, other) in zip(values, other.values) {
            product += Double(own) * Double(other)
            ownSquare += Double(own) * Double(own)
            otherSquare += Double(other) * Double(other)
        }
        guard ownSquare > 0, otherSquare > 0 else { return nil }
        return min(1, max(-1, product / (ownSquare * otherSquare).squareRoot()))
    }
}
