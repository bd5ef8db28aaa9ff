import Embeddings
import JSON
import Storage
import Testing

extension StoreClaim {
    static let searches: [StoreClaim] = [
        StoreClaim("a search gives the nearest first, as an exact computation does") { store in
            let collection = try await Sample.collection(in: store, dimensions: 32)
            let vectors = Sample.vectors(300, dimensions: 32, seed: 5)
            let writes = try vectors.enumerated().map { index, vector in
                DocumentWrite(
                    draft: try Sample.draft("d\(index)", "text \(index)", #"{"n":\#(index)}"#),
                    embedding: Sample.embedding(vector.values))
            }
            _ = try await store.write(writes, to: collection)
            for query in Sample.vectors(5, dimensions: 32, seed: 6) {
                let scores = vectors.map { cosine($0, query) }
                let expected = vectors.indices.sorted { scores[$0] > scores[$1] }
                let hits = try await store.search(
                    SearchRequest(vector: query, limit: 20, includesVectors: true), in: collection)
                #expect(hits.count == 20)
                for (hit, index) in zip(hits, expected) {
                    // Two that are nearer to each other than rounding may change places.
                    let own = try #require(Int(hit.id.dropFirst()))
                    #expect(abs(hit.score - scores[own]) < 1e-6)
                    #expect(abs(scores[own] - scores[index]) < 1e-6)
                    #expect(hit.text == "text \(own)" && hit.metadata["n"]?.number?.integer == own)
                    #expect(hit.vector?.values == rounded(vectors[own]).map { Float($0) })
                }
            }
        },
        StoreClaim("equal scores stand in the order of the ids' bytes, also at the end of the list") { store in
            let collection = try await Sample.collection(in: store)
            let ids = ["d", "é", "B", "a", "C", "b", "10", "9"]
            _ = try await store.write(
                try ids.map { try Sample.write($0, vector: [0.6, 0.8, 0, 0]) }
                    + [
                        try Sample.write("best", vector: [1, 0, 0, 0]),
                        try Sample.write("worst", vector: [-1, 0, 0, 0]),
                    ],
                to: collection)
            let order = ["best"] + ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } + ["worst"]
            for limit in [1, 2, 4, 9, 10, 1_000] {
                let request = SearchRequest(vector: EmbeddingVector([1, 0, 0, 0]), limit: limit)
                #expect(try await store.search(request, in: collection).map(\.id) == Array(order.prefix(limit)))
            }
        },
        StoreClaim("only the direction of a query and of a vector counts") { store in
            let collection = try await Sample.collection(in: store)
            _ = try await store.write(
                [
                    try Sample.write("tiny", vector: [0, 1e-20, 0, 0]),
                    try Sample.write("huge", vector: [1e20, 0, 0, 0]),
                    try Sample.write("none", vector: [0, 0, 0, 0]),
                ], to: collection)
            for scale in [Float(1e-30), 1, 1e15] {
                let request = SearchRequest(vector: EmbeddingVector([0, 3 * scale, 0, 4 * scale]), limit: 5)
                let hits = try await store.search(request, in: collection)
                #expect(hits.map(\.id) == ["tiny", "huge"])
                #expect(abs(hits[0].score - 0.6) < 1e-3 && abs(hits[1].score) < 1e-6)
            }
        },
        StoreClaim("a search in an empty collection finds nothing") { store in
            let collection = try await Sample.collection(in: store)
            let request = SearchRequest(vector: EmbeddingVector([1, 0, 0, 0]), limit: 10)
            #expect(try await store.search(request, in: collection) == [])
        },
        StoreClaim("a search sees the vector of the newest text, and no deleted document") { store in
            let collection = try await Sample.collection(in: store)
            let request = SearchRequest(vector: EmbeddingVector([1, 0, 0, 0]), limit: 10, includesVectors: true)
            _ = try await store.write([try Sample.write("a", "one"), try Sample.write("b", "two")], to: collection)
            _ = try await store.write([try Sample.write("a", "new", vector: [0, 1, 0, 0])], to: collection)
            let hits = try await store.search(request, in: collection)
            #expect(hits.map(\.id) == ["b", "a"] && hits.map(\.text) == ["two", "new"])
            #expect(hits.map(\.vector) == [EmbeddingVector([1, 0, 0, 0]), EmbeddingVector([0, 1, 0, 0])])
            _ = try await store.deleteDocuments(.ids(["b"]), in: collection)
            #expect(try await store.search(request, in: collection).map(\.id) == ["a"])
        },
    ]

    private static func rounded(_ vector: EmbeddingVector) -> [Float16] { vector.values.map { Float16($0) } }

    /// In double precision, of the two as they are stored.
    private static func cosine(_ left: EmbeddingVector, _ right: EmbeddingVector) -> Double {
        let left = rounded(left).map { Double($0) }
        let right = rounded(right).map { Double($0) }
        func product(_ left: [Double], _ right: [Double]) -> Double { zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } }
        return product(left, right) / (product(left, left) * product(right, right)).squareRoot()
    }
}
