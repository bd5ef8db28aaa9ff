package import Embeddings
package import JSON

/// How far the vectors of a precision are from those of plain float32, over the same texts.
package struct PrecisionReport: Sendable, Equatable {
    package let precision: Precision
    /// Between the two vectors of each text. Not a number where one is zero or holds a value that is not finite.
    package let cosines: [Double]
    package let leastCosine: Double
    package let meanCosine: Double
    /// The text with the least cosine, by its place.
    package let worstText: Int
    /// Of a text's nearest neighbours among the texts, the share that both precisions name; the mean over all texts.
    package let neighbourOverlap: Double
    package let line: PrecisionLine

    /// Neighbours of a text that are compared.
    package static let neighbourCount = 5

    /// - Precondition: as many vectors as vectors, two at least, all of one length.
    package init(reference: [[Float]], candidate: [[Float]], precision: Precision) {
        precondition(reference.count == candidate.count && reference.count >= 2)
        precondition((reference + candidate).allSatisfy { $0.count == reference[0].count })
        let cosines = zip(reference, candidate).map(Self.cosine)
        // A cosine that is no number is worse than any that is.
        let worst = cosines.indices.min { Self.isWorse(cosines[$0], than: cosines[$1]) } ?? 0
        self.precision = precision
        self.cosines = cosines
        leastCosine = cosines[worst]
        worstText = worst
        meanCosine = cosines.reduce(0, +) / Double(cosines.count)
        line = PrecisionLine(precision)
        let overlaps = zip(Self.neighbours(reference), Self.neighbours(candidate)).map { pair in
            Double(pair.0.intersection(pair.1).count) / Double(max(1, pair.0.count))
        }
        neighbourOverlap = overlaps.reduce(0, +) / Double(overlaps.count)
    }

    package var textCount: Int { cosines.count }

    /// Whether the line is held.
    package var holds: Bool { leastCosine >= line.leastCosine && meanCosine >= line.meanCosine }

    /// For people; one line.
    package var summary: String {
        """
        \(precision.rawValue): cosine to plain fp32 least \(leastCosine), mean \(meanCosine) \
        (line: least \(line.leastCosine), mean \(line.meanCosine)), \
        neighbour overlap \((neighbourOverlap * 1000).rounded() / 1000), \(textCount) texts: \
        \(holds ? "holds" : "FAILS, worst in text \(worstText)")
        """
    }

    package var json: JSONObject {
        func number(_ value: Double) -> JSONValue { value.isFinite ? .number(JSONNumber(value)) : .null }
        return JSONObject([
            "precision": .string(precision.rawValue), "texts": .number(JSONNumber(textCount)),
            "cosine_min": number(leastCosine), "cosine_mean": number(meanCosine),
            "worst_text": .number(JSONNumber(worstText)), "neighbour_overlap": number(neighbourOverlap),
            "neighbours": .number(JSONNumber(Self.neighbourCount)), "cosines": .array(cosines.map(number)),
            "line": ["cosine_min": number(line.leastCosine), "cosine_mean": number(line.meanCosine)],
            "holds": .bool(holds),
        ])
    }

    package static func == (left: PrecisionReport, right: PrecisionReport) -> Bool {
        left.json == right.json
    }

    private static func isWorse(_ left: Double, than right: Double) -> Bool {
        left.isNaN ? !right.isNaN : left < right
    }

    private static func cosine(_ left: [Float], _ right: [Float]) -> Double {
        var (product, leftSquares, rightSquares) = (0.0, 0.0, 0.0)
        for (left, right) in zip(left, right) {
            product += Double(left) * Double(right)
            leftSquares += Double(left) * Double(left)
            rightSquares += Double(right) * Double(right)
        }
        return product / (leftSquares.squareRoot() * rightSquares.squareRoot())
    }

    /// The places of each vector's nearest ones; of equally near ones those that come first.
    private static func neighbours(_ vectors: [[Float]]) -> [Set<Int>] {
        vectors.indices.map { own in
            let others = vectors.indices.filter { $0 != own }.map {
                (place: $0, near: cosine(vectors[own], vectors[$0]))
            }
            let sorted = others.sorted { left, right in
                left.near == right.near || left.near.isNaN && right.near.isNaN
                    ? left.place < right.place : isWorse(right.near, than: left.near)
            }
            return Set(sorted.prefix(neighbourCount).map(\.place))
        }
    }
}

/// The least that a precision must reach; a model that is below is refused.
package struct PrecisionLine: Sendable, Equatable {
    package let leastCosine: Double
    package let meanCosine: Double

    package init(_ precision: Precision) {
        switch precision {
        case .fp32: (leastCosine, meanCosine) = (0.999999, 0.999999)
        case .bf16: (leastCosine, meanCosine) = (0.9999, 0.9999)
        case .int8: (leastCosine, meanCosine) = (0.998, 0.9993)
        }
    }
}
