import Embeddings
import Storage
import Testing

extension StoreClaim {
    static let collections: [StoreClaim] = [
        StoreClaim("the same collection is made once") { store in
            let name = try Sample.name()
            let first = try await store.createCollection(CollectionSpecification(name: name, model: Sample.model()))
            let again = try await store.createCollection(
                CollectionSpecification(name: name, model: Sample.model("another name, same model")))
            guard case .created(let collection) = first else { throw ContractBroken("\(first)") }
            #expect(again == .existing(collection))
            #expect(collection.name == name && collection.modelName == "model" && collection.dimensions == 4)
            #expect(collection.metric == .cosine && collection.fingerprint == Sample.model().fingerprint)
            #expect(try await store.collection(named: name) == collection)
        },
        StoreClaim("a collection of another model is different") { store in
            let collection = try await Sample.collection(in: store)
            let other = CollectionSpecification(name: collection.name, model: Sample.model(fingerprint: 2))
            #expect(try await store.createCollection(other) == .different(collection))
            #expect(try await store.collection(named: collection.name) == collection)
        },
        StoreClaim("racing creations make one collection") { store in
            let specification = CollectionSpecification(name: try Sample.name(), model: Sample.model(fingerprint: 7))
            let answers = try await withThrowingTaskGroup(of: CollectionCreation.self) { group in
                for _ in 0..<16 { group.addTask { try await store.createCollection(specification) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let created = answers.filter { if case .created = $0 { true } else { false } }
            let existing = answers.filter { if case .existing = $0 { true } else { false } }
            #expect(created.count == 1 && existing.count == 15)
        },
        StoreClaim("collections are listed by name") { store in
            var names: [String] = []
            for prefix in ["b", "a-", "a_", "0"] {
                let name = try Sample.name(prefix)
                names.append(name.description)
                _ = try await store.createCollection(CollectionSpecification(name: name, model: Sample.model()))
            }
            let listed = try await store.collections().map(\.name.description).filter(names.contains)
            #expect(listed == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        },
        StoreClaim("a dropped collection is gone with its documents") { store in
            let collection = try await Sample.collection(in: store)
            _ = try await store.write([try Sample.write("a")], to: collection)
            #expect(try await store.dropCollection(named: collection.name))
            #expect(try await store.dropCollection(named: collection.name) == false)
            #expect(try await store.collection(named: collection.name) == nil)
            await #expect(throws: StorageError.collectionNotFound(collection.name)) {
                try await store.documentCount(in: collection)
            }
        },
        StoreClaim("a collection made anew takes nothing through the old one's handle") { store in
            let old = try await Sample.collection(in: store)
            _ = try await store.dropCollection(named: old.name)
            let answer = try await store.createCollection(
                CollectionSpecification(name: old.name, model: Sample.model()))
            guard case .created(let new) = answer else { throw ContractBroken("\(answer)") }
            #expect(new.id != old.id)
            let gone = StorageError.collectionNotFound(old.name)
            let request = SearchRequest(vector: EmbeddingVector([1, 0, 0, 0]), limit: 1)
            await #expect(throws: gone) { try await store.write([try Sample.write("a")], to: old) }
            await #expect(throws: gone) {
                try await store.draftsNeedingEmbedding([try Sample.draft("a")], in: old)
            }
            await #expect(throws: gone) { try await store.document(id: "a", in: old) }
            await #expect(throws: gone) { try await store.documents(after: nil, limit: 1, in: old) }
            await #expect(throws: gone) { try await store.deleteDocuments(.ids(["a"]), in: old) }
            await #expect(throws: gone) { try await store.search(request, in: old) }
            #expect(try await store.documentCount(in: new) == 0)
        },
        StoreClaim("a store that works says so") { store in
            #expect(await store.unavailability() == nil)
        },
    ]
}
