import Embeddings
import Testing

/// The same text by the same model is computed once.
extension JobClaim {
    private static func known(_ stores: JobStores, _ inputs: [JobInput], in collection: DocumentCollection? = nil)
        async throws -> [KnownEmbedding?]
    {
        try await stores.submit(inputs, collection: collection)
        let segment = try await stores.claimOne()
        let loaded = try await stores.segments.load(segment)
        #expect(try await stores.segments.finish(segment, with: Work.outcomes(of: loaded)) == .finished)
        return loaded.map(\.known)
    }

    static let deduplication = [
        JobClaim("a job's earlier segments know a text") { stores in
            let texts = ["same", "other", "same", "Same", "e\u{301}", "é"]
            let job = try await stores.submit(
                try texts.enumerated().map { [try Work.input("\($0)", $1)] }, as: stores.specification())
            var known: [KnownEmbedding?] = []
            while let segment = try await stores.claim().first {
                known += try await stores.segments.load(segment).map(\.known)
                #expect(try await stores.finish(segment) == .finished)
            }
            #expect(known == [nil, nil, .sameJob(index: 0), nil, nil, nil])
            #expect(try await stores.results(job.id) == texts.enumerated().map { Work.result($0, $1) })
            #expect(try await stores.job(job.id).counts == JobCounts(total: 6, succeeded: 6, deduplicated: 1))
        },
        JobClaim("jobs without a collection know each other's texts") { stores in
            #expect(try await known(stores, [try Work.input("a", "long text")]) == [nil])
            let inputs = [try Work.input("b", "long text"), try Work.input("c", "new")]
            #expect(try await known(stores, inputs) == [.stored(Work.embedding(of: "long text")), nil])
            // The copy is known as the original is.
            let first = try #require(try await stores.jobs.jobs(JobQuery()).jobs.last?.id)
            #expect(try await stores.jobs.deleteJob(first))
            _ = try await stores.maintainAll()
            let third = try await known(stores, [try Work.input("d", "long text")])
            #expect(third == [.stored(Work.embedding(of: "long text"))] || third == [nil])
            let results = try await stores.results(try #require(try await stores.jobs.jobs(JobQuery()).jobs.last?.id))
            #expect(results == [Work.result(0, "long text", id: "b"), Work.result(1, "new", id: "c")])
        },
        JobClaim("another model's vectors are another's") { stores in
            try await stores.submit([try Work.input("a", "text")])
            try await stores.workAll()
            try await stores.submit([[try Work.input("b", "text")]], as: stores.specification(fingerprint: 2))
            let segment = try #require(try await stores.claim(fingerprint: 2).first)
            #expect(try await stores.segments.load(segment).map(\.known) == [nil])
        },
        JobClaim("a collection knows its documents and those of others of its model") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let other = try await Sample.collection(in: stores.documents)
            let stranger = CollectionSpecification(name: try Sample.name(), model: Sample.model(fingerprint: 2))
            guard case .created(let foreign) = try await stores.documents.createCollection(stranger) else {
                throw ContractBroken("not created")
            }
            func write(_ id: String, _ text: String, to collection: DocumentCollection) async throws {
                let write = DocumentWrite(draft: try Sample.draft(id, text), embedding: Work.embedding(of: text))
                _ = try await stores.documents.write([write], to: collection)
            }
            try await write("a", "own", to: collection)
            try await write("b", "own b", to: collection)
            try await write("c", "gone", to: collection)
            try await write("a", "others", to: other)
            try await write("a", "foreign", to: foreign)
            _ = try await stores.documents.deleteDocuments(.ids(["c"]), in: collection)
            _ = try await stores.documents.write([try Sample.write("b", "own b, changed")], to: collection)

            let texts = ["own", "others", "own b", "gone", "foreign", "own"]
            let ids = ["a", "x", "b", "c", "y", "z"]
            let inputs = try zip(ids, texts).map { try Work.input($0, $1) }
            let expected: [KnownEmbedding?] = [
                .stored(Work.embedding(of: "own")), .stored(Work.embedding(of: "others")), nil, nil, nil,
                .stored(Work.embedding(of: "own")),
            ]
            #expect(try await known(stores, inputs, in: collection) == expected)
            let job = try #require(try await stores.jobs.jobs(JobQuery()).jobs.first)
            #expect(job.counts == JobCounts(total: 6, succeeded: 6, deduplicated: 3))
            #expect(
                try await stores.results(job.id) == zip(ids, texts).enumerated().map { Work.result($0, $1.1, id: $1.0) }
            )
        },
        JobClaim("documents and bare results do not know each other: their prompts differ") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            #expect(try await known(stores, [try Work.input("a", "text")]) == [nil])
            #expect(try await known(stores, [try Work.input("a", "text")], in: collection) == [nil])
            let third = try await known(stores, [try Work.input("b", "text")])
            #expect(third == [.stored(Work.embedding(of: "text"))])
        },
    ]
}
