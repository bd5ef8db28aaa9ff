import Embeddings
import JSON
import Storage
import Testing

extension StoreClaim {
    static let documents: [StoreClaim] = [
        StoreClaim("a write answers inserted, updated or unchanged, in order") { store in
            let collection = try await Sample.collection(in: store)
            #expect(
                try await store.write([try Sample.write("b"), try Sample.write("a")], to: collection)
                    == [.inserted, .inserted])
            let outcomes = try await store.write(
                [
                    try Sample.write("c"), try Sample.write("b"), try Sample.write("a", "other text"),
                    try Sample.writeMetadata("d", "text", "{}"),
                ], to: collection)
            #expect(outcomes == [.inserted, .unchanged, .updated, .needsEmbedding])
            #expect(try await store.documentCount(in: collection) == 3)
            #expect(try await store.document(id: "a", in: collection)?.text == "other text")
            #expect(try await store.write([], to: collection) == [])
        },
        StoreClaim("metadata alone is written only while the text is the same") { store in
            let collection = try await Sample.collection(in: store)
            _ = try await store.write([try Sample.write("a", "one"), try Sample.write("b", "two")], to: collection)
            let outcomes = try await store.write(
                [
                    try Sample.writeMetadata("a", "one", #"{"k":1}"#),
                    try Sample.writeMetadata("b", "new", #"{"k":1}"#),
                    try Sample.writeMetadata("c", "one", #"{"k":1}"#), try Sample.write("d", "four"),
                ], to: collection)
            #expect(outcomes == [.updated, .needsEmbedding, .needsEmbedding, .inserted])
            #expect(
                try await store.write([try Sample.writeMetadata("a", "one", #"{"k":1.0}"#)], to: collection)
                    == [.unchanged])
            #expect(try await store.document(id: "a", in: collection)?.metadata == JSONObject(["k": 1]))
            let untouched = try #require(try await store.document(id: "b", in: collection))
            #expect(untouched.text == "two" && untouched.metadata.isEmpty)
        },
        StoreClaim("drafts whose text has no vector yet are named") { store in
            let collection = try await Sample.collection(in: store)
            _ = try await store.write([try Sample.write("a", "one"), try Sample.write("b", "two")], to: collection)
            let drafts = [
                try Sample.draft("new", "one"), try Sample.draft("a", "one", #"{"new":"metadata"}"#),
                try Sample.draft("b", "two "),
            ]
            #expect(try await store.draftsNeedingEmbedding(drafts, in: collection) == [0, 2])
            #expect(try await store.draftsNeedingEmbedding([], in: collection) == [])
        },
        StoreClaim("a document comes back as it was written") { store in
            let collection = try await Sample.collection(in: store)
            let metadata =
                #"{"":"empty key","nested":{"deep":[1,[2,{"x":null}],-0.5e-7]},"big":12345678901234567890123,"t":true}"#
            let text = "first\nsecond\t\u{1}\u{7F} 𝄞 \u{10FFFF} 'quotes' \"double\" \\ $1 %s"
            let write = DocumentWrite(
                draft: try Sample.draft("id/ % ? ' \" \\ ü 𝄞", text, metadata),
                embedding: Sample.embedding([0.5, 0.5, -0.5, 0.5], tokenCount: 17, isTruncated: true))
            #expect(try await store.write([write], to: collection) == [.inserted])
            let stored = try #require(try await store.document(id: write.draft.id, in: collection))
            #expect(stored.text == text && stored.tokenCount == 17 && stored.isTruncated)
            #expect(stored.metadata.isSame(as: write.draft.metadata))
            #expect(try await store.document(id: "other", in: collection) == nil)
            #expect(try await store.write([write], to: collection) == [.unchanged])
        },
        StoreClaim("ids and texts are told apart by their bytes") { store in
            let collection = try await Sample.collection(in: store)
            let composed = "caf\u{E9}"
            let decomposed = "cafe\u{301}"
            _ = try await store.write([try Sample.write(composed, composed)], to: collection)
            #expect(try await store.document(id: decomposed, in: collection) == nil)
            #expect(
                try await store.draftsNeedingEmbedding([try Sample.draft(composed, decomposed)], in: collection) == [0])
            #expect(try await store.write([try Sample.write(decomposed)], to: collection) == [.inserted])
            #expect(try await store.documentCount(in: collection) == 2)
        },
        StoreClaim("ids of 512 bytes and numbers of a thousand digits are taken") { store in
            let collection = try await Sample.collection(in: store)
            let id = String(repeating: "é", count: 256)
            let digits = String(repeating: "7", count: 250)
            let metadata = """
                {"long":0.\(String(repeating: "3", count: 20_000)),"tiny":1e-20000,"zero":0e999999999999,"big":\(digits)}
                """
            _ = try await store.write([try Sample.write(id, "text", metadata)], to: collection)
            let stored = try #require(try await store.document(id: id, in: collection)?.metadata)
            #expect(stored["long"]?.number?.value == 1.0 / 3 && stored["tiny"]?.number?.value == 0)
            #expect(stored["big"]?.number?.literal == digits && stored["zero"]?.number?.value == 0)
            #expect(try await store.write([try Sample.write(id, "text", metadata)], to: collection) == [.unchanged])
        },
        StoreClaim("pages follow the bytes of the ids") { store in
            let collection = try await Sample.collection(in: store)
            let ids = ["a", "B", "é", "e\u{301}", "10", "9", "𝄞", "\u{FFFD}", "_", "a b", "aa", "A"]
            _ = try await store.write(try ids.map { try Sample.write($0) }, to: collection)
            let sorted = ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            var found: [String] = []
            var next: String?
            repeat {
                let page = try await store.documents(after: next, limit: 5, in: collection)
                found += page.documents.map(\.id)
                next = page.next
            } while next != nil
            #expect(found.map { Array($0.utf8) } == sorted.map { Array($0.utf8) })
            #expect(try await store.documents(after: nil, limit: 12, in: collection).next == nil)
            #expect(try await store.documents(after: "\u{10FFFF}", limit: 5, in: collection).documents.isEmpty)
        },
        StoreClaim("documents are deleted by id and by filter") { store in
            let collection = try await Sample.collection(in: store)
            _ = try await store.write(
                try (0..<10).map { try Sample.write("d\($0)", "text", #"{"even":\#($0 % 2 == 0)}"#) }, to: collection)
            #expect(try await store.deleteDocuments(.ids(["d1", "d1", "none", "d2"]), in: collection) == 2)
            let path = try #require(FieldPath("even"))
            #expect(try await store.deleteDocuments(.filter(.equals(path, .bool(true))), in: collection) == 4)
            #expect(try await store.deleteDocuments(.ids([]), in: collection) == 0)
            let left = try await store.documents(after: nil, limit: 100, in: collection).documents.map(\.id)
            #expect(left == ["d3", "d5", "d7", "d9"])
            #expect(try await store.write([try Sample.write("d1")], to: collection) == [.inserted])
        },
        StoreClaim("racing writes of one id leave one writer's text, metadata and vector") { store in
            let collection = try await Sample.collection(in: store, dimensions: 8)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for marker in 0..<200 {
                    group.addTask {
                        // Each writes all ten ids, in an order of its own; some texts return, so that metadata and whole
                        // documents race with each other.
                        var generator = SplitMix64(state: UInt64(marker))
                        let writes = try (0..<10).shuffled(using: &generator).map { id in
                            let text = marker % 20
                            let metadata = #"{"marker":\#(marker)}"#
                            guard marker % 4 != 3 else {
                                return try Sample.writeMetadata("id\(id)", "\(text)", metadata)
                            }
                            var vector = [Float](repeating: 0, count: 8)
                            vector[0] = Float(text)
                            vector[1] = 1
                            return try Sample.write("id\(id)", "\(text)", metadata, vector: vector)
                        }
                        _ = try await store.write(writes, to: collection)
                    }
                }
                try await group.waitForAll()
            }
            let query = EmbeddingVector([0, 1, 0, 0, 0, 0, 0, 0])
            let hits = try await store.search(
                SearchRequest(vector: query, limit: 20, includesVectors: true), in: collection)
            #expect(hits.count == 10)
            for hit in hits {
                let values = try #require(hit.vector?.values)
                #expect("\(Int((values[0] / values[1]).rounded()))" == hit.text)
                let marker = try #require(hit.metadata["marker"]?.number?.integer)
                #expect("\(marker % 20)" == hit.text)
            }
        },
        StoreClaim("racing writes, new metadata and deletions all end, and leave whole documents") { store in
            let collection = try await Sample.collection(in: store)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        var generator = SplitMix64(state: UInt64(worker))
                        for _ in 0..<40 {
                            let ids = (0..<60).map { "d\($0)" }.shuffled(using: &generator).prefix(20)
                            if Int.random(in: 0..<4, using: &generator) == 0 {
                                _ = try await store.deleteDocuments(.ids(Array(ids)), in: collection)
                                continue
                            }
                            let writes = try ids.map { id in
                                let text = Int.random(in: 0..<3, using: &generator)
                                let metadata = #"{"m":\#(Int.random(in: 0..<3, using: &generator))}"#
                                return Bool.random(using: &generator)
                                    ? try Sample.write(id, "\(text)", metadata, vector: [Float(text), 1, 0, 0])
                                    : try Sample.writeMetadata(id, "\(text)", metadata)
                            }
                            _ = try await store.write(writes, to: collection)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let request = SearchRequest(vector: EmbeddingVector([0, 1, 0, 0]), limit: 100, includesVectors: true)
            let hits = try await store.search(request, in: collection)
            #expect(try await store.documentCount(in: collection) == hits.count)
            for hit in hits {
                let first = try #require(hit.vector?.values.first)
                #expect("\(Int(first))" == hit.text)
            }
        },
    ]
}
