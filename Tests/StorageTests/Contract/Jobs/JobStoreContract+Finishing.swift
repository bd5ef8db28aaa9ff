import Embeddings
import JSON
import Testing

extension JobClaim {
    static let finishing = [
        JobClaim("a job is completed by its last segment, and not before") { stores in
            let job = try await stores.submit(
                try Work.inputs(0..<2), [try Work.input("2", "poison"), try Work.input("3", "text 3")],
                try Work.inputs(4..<5))
            let claimed = try await stores.claim(3)
            #expect(try await stores.finish(claimed[2]) == .finished)
            #expect(try await stores.results(job.id).map(\.index) == [4])
            #expect(try await stores.finish(claimed[1]) == .finished)
            var now = try await stores.job(job.id)
            #expect(now.state == .running && now.endedAt == nil)
            #expect(now.counts == JobCounts(total: 5, succeeded: 2, failed: 1))
            #expect((now.inputsPerSecond ?? 0) > 0)
            #expect(try await stores.finish(claimed[0]) == .finished)
            now = try await stores.job(job.id)
            #expect(now.state == .completed && now.endedAt != nil && now.failure == nil)
            #expect(now.counts == JobCounts(total: 5, succeeded: 4, failed: 1))
            #expect(now.tokenCount == 4 * "text 0".utf8.count)
            #expect(
                try await stores.results(job.id) == [
                    Work.result(0, "text 0"), Work.result(1, "text 1"), Work.failed(2, Work.failure),
                    Work.result(3, "text 3"), Work.result(4, "text 4"),
                ])
            let failures = try await stores.jobs.failures(of: job.id, after: nil, limit: 10)
            #expect(failures == [JobFailure(index: 2, id: "2", error: Work.failure)])
        },
        JobClaim("equal texts of a job share a vector, and cost no tokens") { stores in
            let job = try await stores.submit(
                try (0..<4).map { try Work.input("\($0)", $0 == 3 ? "other" : "long same") })
            let segment = try await stores.claimOne()
            let outcomes: [InputOutcome.Kind] = [
                .sameAs(index: 1), .embedded(Work.embedding(of: "long same")),
                .deduplicated(Work.embedding(of: "long same")), .embedded(Work.embedding(of: "other")),
            ]
            let finish = try await stores.segments.finish(
                segment, with: outcomes.enumerated().map { InputOutcome(index: $0, kind: $1) })
            #expect(finish == .finished)
            let done = try await stores.job(job.id)
            #expect(done.counts == JobCounts(total: 4, succeeded: 4, deduplicated: 2))
            #expect(done.tokenCount == "long same".utf8.count + "other".utf8.count)
            #expect(
                try await stores.results(job.id)
                    == (0..<4).map { Work.result($0, $0 == 3 ? "other" : "long same") })
        },
        JobClaim("a collection's job leaves its vectors in the collection") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let metadata = #"{"n":1,"deep":{"list":[1,"zwei",null]}}"#
            let job = try await stores.submit(
                [
                    try Work.input("a", "long text a", metadata), try Work.input("b", "poison"), Work.invalid("c"),
                    try Work.input("d", "text d"),
                ], collection: collection)
            #expect(job.collection == collection.name)
            try await stores.workAll()
            let done = try await stores.job(job.id)
            #expect(done.state == .completed && done.counts == JobCounts(total: 4, succeeded: 2, failed: 2))
            #expect(try await stores.documents.documentCount(in: collection) == 2)
            let stored = try #require(try await stores.documents.document(id: "a", in: collection))
            #expect(stored.text == "long text a" && stored.isTruncated && stored.tokenCount == 11)
            #expect(try JSONValue.object(stored.metadata) == JSONValue(parsing: metadata))
            let hits = try await stores.documents.search(
                SearchRequest(vector: Work.embedding(of: "text d").vector, limit: 1, includesVectors: true),
                in: collection)
            #expect(hits.first?.id == "d" && hits.first?.vector == Work.embedding(of: "text d").vector)
            #expect(
                try await stores.results(job.id) == [
                    Work.result(0, "long text a", id: "a"), Work.failed(1, Work.failure, id: "b"),
                    Work.failed(2, Work.invalidLine, id: "c"), Work.result(3, "text d", id: "d"),
                ])
        },
        JobClaim("a result that the collection no longer has is an error") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let job = try await stores.submit(try Work.inputs(0..<3), collection: collection)
            try await stores.workAll()
            _ = try await stores.documents.deleteDocuments(.ids(["0"]), in: collection)
            _ = try await stores.documents.write([try Sample.write("1", "another text")], to: collection)
            let results = try await stores.results(job.id)
            #expect(results.map(\.errorCode) == ["superseded", "superseded", nil])
            #expect(results.last == Work.result(2, "text 2"))
            #expect(try await stores.job(job.id).counts == JobCounts(total: 3, succeeded: 3))
            #expect(try await stores.documents.dropCollection(named: collection.name))
            #expect(try await stores.results(job.id).map(\.errorCode) == ["superseded", "superseded", "superseded"])
        },
        JobClaim("a job whose collection is gone has failed") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let job = try await stores.submit(
                try Work.inputs(0..<2), try Work.inputs(2..<4), collection: collection)
            let claimed = try await stores.claim(2)
            let loaded = try await stores.segments.load(claimed[0])
            let late = try await stores.segments.load(claimed[1])
            #expect(try await stores.documents.dropCollection(named: collection.name))
            // One of the same name is another.
            _ = try await stores.documents.createCollection(
                CollectionSpecification(name: collection.name, model: Sample.model()))
            #expect(try await stores.segments.finish(claimed[0], with: Work.outcomes(of: loaded)) == .jobFailed)
            let failed = try await stores.job(job.id)
            #expect(failed.state == .failed && failed.failure != nil && failed.endedAt != nil)
            #expect(failed.counts == JobCounts(total: 4))
            #expect(try await stores.segments.finish(claimed[1], with: Work.outcomes(of: late)) != .finished)
            #expect(try await stores.claim(5).isEmpty)
            let named = try #require(try await stores.documents.collection(named: collection.name))
            #expect(try await stores.documents.documentCount(in: named) == 0)
            #expect(try await stores.results(job.id).allSatisfy { $0.errorCode == failed.failure?.code })
        },
        JobClaim("what a paused job has under way ends, and may end the job") { stores in
            let job = try await stores.submit(try Work.inputs(0..<1), try Work.inputs(1..<2))
            let claimed = try await stores.claim(2)
            _ = try await stores.jobs.apply(.pause, to: job.id)
            #expect(try await stores.finish(claimed[0]) == .finished)
            let paused = try await stores.job(job.id)
            #expect(paused.state == .paused && paused.counts == JobCounts(total: 2, succeeded: 1))
            #expect(try await stores.finish(claimed[1]) == .finished)
            #expect(try await stores.job(job.id).state == .completed)
        },
    ]
}
