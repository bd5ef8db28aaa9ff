/// One text's vector, of the model's dimensions unless it was cut.
package struct EmbeddingVector: Sendable, Equatable {
    package let values: [Float]

    package init(_ values: [Float]) {
        self.values = values
    }

    package var dimensions: Int { values.count }

    /// The first `dimensions` values, scaled to unit length again (Matryoshka truncation).
    ///
    /// - Precondition: `dimensions` is in `1...self.dimensions`.
    package func cut(to dimensions: Int) -> EmbeddingVector {
        precondition((1...values.count).contains(dimensions))
        guard dimensions < values.count else { return self }
        return EmbeddingVector(Array(values.prefix(dimensions))).normalized()
            ?? EmbeddingVector(Array(values.prefix(dimensions)))
    }

    /// This direction at unit length; nil where there is none (a zero or non-finite vector).
    package func normalized() -> EmbeddingVector? {
        // Double, and scaled by the largest value first, so that neither 1e-30 nor 1e30 loses its direction.
        guard let largest = values.map({ Double($0.magnitude) }).max(), largest.isFinite, largest > 0 else {
            return nil
        }
        let norm = values.reduce(0.0) { $0 + (Double($1) / largest) * (Double($1) / largest) }.squareRoot()
        guard norm.isFinite, norm > 0 else { return nil }
        return EmbeddingVector(values.map { Float(Double($0) / largest / norm) })
    }
}
