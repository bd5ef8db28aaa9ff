import Embeddings
import JSON
import Testing

/// Of all that was ever sent for one document the latest counts, in whatever order workers are done.
extension JobClaim {
    static let versions = [
        JobClaim("the latest of three jobs wins in every order") { stores in
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let collection = try await Sample.collection(in: stores.documents)
                var jobs: [JobID] = []
                for version in 0..<3 {
                    let job = try await stores.submit(
                        [try Work.input("a", "text \(version)", #"{"version":\#(version)}"#)], collection: collection)
                    jobs.append(job.id)
                }
                let claimed = try await stores.claim(3)
                #expect(claimed.map(\.job) == jobs)
                for place in order { #expect(try await stores.finish(claimed[place]) == .finished) }
                let document = try #require(try await stores.documents.document(id: "a", in: collection))
                #expect(document.text == "text 2" && document.metadata["version"] == 2, "\(order)")
                let hits = try await stores.documents.search(
                    SearchRequest(vector: EmbeddingVector([1, 0, 0, 0]), limit: 9, includesVectors: true),
                    in: collection)
                #expect(hits.map(\.vector) == [Work.embedding(of: "text 2").vector], "\(order)")
                for (version, job) in jobs.enumerated() {
                    #expect(try await stores.job(job).counts.succeeded == 1)
                    let results = try await stores.results(job)
                    #expect(results.map(\.errorCode) == [version == 2 ? nil : "superseded"], "\(order)")
                }
            }
        },
        JobClaim("of one job the last line of an id wins, in one segment and over several") { stores in
            for backwards in [false, true] {
                let collection = try await Sample.collection(in: stores.documents)
                let job = try await stores.submit(
                    [try Work.input("a", "one"), try Work.input("a", "two"), try Work.input("b", "one")],
                    [try Work.input("a", "three"), try Work.input("b", "two"), try Work.input("a", "four")],
                    collection: collection)
                let claimed = try await stores.claim(2)
                for segment in backwards ? claimed.reversed() : claimed {
                    #expect(try await stores.finish(segment) == .finished)
                }
                #expect(try await stores.documents.document(id: "a", in: collection)?.text == "four")
                #expect(try await stores.documents.document(id: "b", in: collection)?.text == "two")
                #expect(try await stores.documents.documentCount(in: collection) == 2)
                #expect(try await stores.job(job.id).counts.succeeded == 6)
                let codes = try await stores.results(job.id).map(\.errorCode)
                #expect(codes == ["superseded", "superseded", "superseded", "superseded", nil, nil])
            }
        },
        JobClaim("a document that was written since the job was sent stays") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let job = try await stores.submit(
                [try Work.input("a", "from the job"), try Work.input("b", "from the job")], collection: collection)
            _ = try await stores.documents.write([try Sample.write("a", "written since")], to: collection)
            try await stores.workAll()
            #expect(try await stores.documents.document(id: "a", in: collection)?.text == "written since")
            #expect(try await stores.documents.document(id: "b", in: collection)?.text == "from the job")
            #expect(try await stores.results(job.id).map(\.errorCode) == ["superseded", nil])
            // What is sent after that wins again.
            try await stores.submit([try Work.input("a", "from a later job")], collection: collection)
            try await stores.workAll()
            #expect(try await stores.documents.document(id: "a", in: collection)?.text == "from a later job")
        },
        JobClaim("even a write that changed nothing is the latest word") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            let writes = [try Sample.write("a", "stands", #"{"n":1}"#), try Sample.write("b", "stands", #"{"n":1}"#)]
            _ = try await stores.documents.write(writes, to: collection)
            try await stores.submit(
                [try Work.input("a", "overtaken"), try Work.input("b", "stands", #"{"n":2}"#)], collection: collection)
            let unchanged = try await stores.documents.write(
                [writes[0], try Sample.writeMetadata("b", "stands", #"{"n":3}"#)], to: collection)
            #expect(unchanged == [.unchanged, .updated])
            try await stores.workAll()
            #expect(try await stores.documents.document(id: "a", in: collection)?.text == "stands")
            #expect(try await stores.documents.document(id: "b", in: collection)?.metadata["n"] == 3)
        },
        JobClaim("new metadata of an unchanged text is taken over, older metadata is not") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            for number in 0..<3 {
                try await stores.submit(
                    [try Work.input("a", "same", #"{"n":\#(number)}"#)], collection: collection)
            }
            let claimed = try await stores.claim(3)
            for place in [1, 2, 0] { #expect(try await stores.finish(claimed[place]) == .finished) }
            let document = try #require(try await stores.documents.document(id: "a", in: collection))
            #expect(document.text == "same" && document.metadata["n"] == 2)
            // Their text is the stored one, whoever wrote it.
            for segment in claimed {
                #expect(try await stores.results(segment.job) == [Work.result(0, "same", id: "a")])
            }
        },
        JobClaim("a document deleted while it waits is written again") { stores in
            let collection = try await Sample.collection(in: stores.documents)
            _ = try await stores.documents.write([try Sample.write("a", "old")], to: collection)
            try await stores.submit([try Work.input("a", "new")], collection: collection)
            _ = try await stores.documents.deleteDocuments(.ids(["a"]), in: collection)
            try await stores.workAll()
            #expect(try await stores.documents.document(id: "a", in: collection)?.text == "new")
        },
    ]
}
