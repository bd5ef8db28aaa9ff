import Embeddings
import Postgres
import Storage
import Testing

/// Of all that is written for one id, the latest wins, in whatever order it arrives; and a text is embedded once.
@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct DocumentVersionTests {
    /// Three jobs, finished in every order.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    func theLatestWinsInEveryOrder(order: [Int]) async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job([.init(id: "a", text: "one", metadata: #"{"n":1}"#)])
            let one = try await fixture.claimOne()
            try await fixture.job([.init(id: "a", text: "two", metadata: #"{"n":2}"#)])
            let two = try await fixture.claimOne()
            try await fixture.job([.init(id: "a", text: "three", metadata: #"{"n":3}"#)])
            let three = try await fixture.claimOne()
            let segments = [one, two, three]
            for index in order {
                let vector: [Float] = [Float(index + 1), 1, 0, 0]
                #expect(try await fixture.finish(segments[index], direction: vector) == .finished)
            }
            #expect(try await fixture.text(of: "a") == "three")
            let rows = try await fixture.pool.query(
                """
                SELECT metadata::text, embedding::text FROM ovenbird_views.\(
                    identifier: fixture.collection.name.description)
                """)
            #expect(try rows.map { try [$0.decode(0), $0.decode(1)] } == [[#"{"n": 3}"#, "[3,1,0,0]"]])
        }
    }

    @Test(arguments: ["stored", "new"])
    func aDirectWriteIsLaterThanAllThatWasSentBefore(text: String) async throws {
        try await SegmentFixture.with { fixture in
            _ = try await fixture.documents.write([try Sample.write("a", "stored")], to: fixture.collection)
            try await fixture.job([.init(id: "a", text: "sent")])
            let segment = try await fixture.claimOne()
            // Even where it changes nothing, with and without an embedding.
            let outcomes = try await fixture.documents.write([try Sample.write("a", text)], to: fixture.collection)
            #expect(outcomes == [text == "stored" ? .unchanged : .updated])
            #expect(try await fixture.finish(segment) == .finished)
            #expect(try await fixture.text(of: "a") == text)

            try await fixture.job([.init(id: "a", text: "sent again")])
            let again = try await fixture.claimOne()
            let bare = try await fixture.documents.write(
                [try Sample.writeMetadata("a", text, "{}")], to: fixture.collection)
            #expect(bare == [.unchanged])
            #expect(try await fixture.finish(again) == .finished)
            #expect(try await fixture.text(of: "a") == text)

            try await fixture.job([.init(id: "a", text: "later")])
            #expect(try await fixture.finish(try await fixture.claimOne()) == .finished)
            #expect(try await fixture.text(of: "a") == "later")
        }
    }

    @Test func ofOneSegmentTheLastInputOfAnIdCounts() async throws {
        try await SegmentFixture.with { fixture in
            let job = try await fixture.job([
                .init(id: "a", text: "first"), .init(id: "b", text: "b"), .init(id: "a", text: "last"),
            ])
            let segment = try await fixture.claimOne()
            #expect(
                try await fixture.store.finish(
                    segment,
                    with: (0..<3).map {
                        InputOutcome(index: $0, kind: .embedded(Sample.embedding([Float($0), 1, 0, 0])))
                    }) == .finished)
            #expect(try await fixture.text(of: "a") == "last")
            #expect(try await fixture.counts(of: job).succeeded == 3)
            #expect(try await fixture.documents.documentCount(in: fixture.collection) == 2)
        }
    }

    @Test func anEqualTextsVectorIsLeftWhereItIs() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(3)
            try await fixture.finish(try await fixture.claimOne())
            let place: PostgresStatement =
                "SELECT string_agg(ctid::text, ' ') FROM ovenbird.vectors_\(literal: Int(fixture.collection.id))"
            let before: String = try #require(try await fixture.pool.query(place).first).decode(0)
            let job = try await fixture.job(3)
            let segment = try await fixture.claimOne()
            let inputs = try await fixture.store.load(segment)
            let outcomes = try inputs.map { input in
                guard case .stored(let embedding)? = input.known else { throw ContractBroken("\(input)") }
                return InputOutcome(index: input.index, kind: .deduplicated(embedding))
            }
            #expect(try await fixture.store.finish(segment, with: outcomes) == .finished)
            #expect(try await fixture.pool.query(place).first?.decode(0) == before)
            #expect(
                try await fixture.counts(of: job)
                    == .init(state: "completed", succeeded: 3, failed: 0, deduplicated: 3, tokens: 0))
        }
    }

    @Test func equalTextsAreKnownAcrossIdsAndCollections() async throws {
        try await SegmentFixture.with { fixture in
            let other = try await Sample.collection(in: fixture.documents)
            let written = DocumentWrite(
                draft: try Sample.draft("x", "shared"),
                embedding: Sample.embedding([0, 3, 4, 0], tokenCount: 7, isTruncated: true))
            _ = try await fixture.documents.write([written], to: other)
            try await fixture.job([.init(id: "a", text: "shared"), .init(id: "b", text: "alone")])
            let inputs = try await fixture.store.load(try await fixture.claimOne())
            #expect(inputs.map(\.text) == ["shared", "alone"])
            #expect(inputs[0].known == .stored(try #require(written.embedding)) && inputs[1].known == nil)
        }
    }

    @Test func equalTextsOfResultsAreReferredToOrCopied() async throws {
        try await SegmentFixture.with { fixture in
            let texts = ["one", "two", "one", "one"]
            let inputs = texts.enumerated().map { SegmentFixture.Input(id: "\($0.offset)", text: $0.element) }
            let job = try await fixture.job(inputs, inCollection: false, segmentSize: 3)
            let first = try await fixture.claimOne()
            let long = Sample.embedding([1, 2, 0, 0], tokenCount: 9, isTruncated: true)
            #expect(
                try await fixture.store.finish(
                    first,
                    with: [
                        InputOutcome(index: 2, kind: .sameAs(index: 0)),
                        InputOutcome(index: 0, kind: .embedded(long)),
                        InputOutcome(index: 1, kind: .embedded(Sample.embedding([0, 1, 0, 0]))),
                    ]) == .finished)
            let second = try await fixture.claimOne()
            let known = try await fixture.store.load(second)
            #expect(known.map(\.known) == [.sameJob(index: 0)])
            #expect(
                try await fixture.store.finish(second, with: [InputOutcome(index: 3, kind: .sameAs(index: 0))])
                    == .finished)
            #expect(
                try await fixture.counts(of: job)
                    == .init(state: "completed", succeeded: 4, failed: 0, deduplicated: 2, tokens: 12))
            let rows = try await fixture.pool.query(
                "SELECT same_as, token_count, truncated FROM ovenbird.job_results ORDER BY seq")
            #expect(try rows.map { try $0.decode(0, as: Int?.self) } == [nil, nil, 0, 0])
            #expect(try rows.map { try $0.decode(1, as: Int.self) } == [9, 3, 9, 9])
            #expect(try rows.map { try $0.decode(2, as: Bool.self) } == [true, false, true, true])

            try await fixture.job(inputs, inCollection: false)
            let copies = try await fixture.store.load(try await fixture.claimOne())
            #expect(copies[0].known == .stored(long))
        }
    }

    @Test func deletedDocumentsTakeTheirVectorsAlong() async throws {
        try await SegmentFixture.with { fixture in
            try await fixture.job(5)
            try await fixture.finish(try await fixture.claimOne())
            #expect(
                try await fixture.documents.deleteDocuments(.ids(["d1", "d3", "none"]), in: fixture.collection) == 2)
            let id = Int(fixture.collection.id)
            #expect(try await fixture.number("SELECT count(*) FROM ovenbird.vectors_\(literal: id)") == 3)
            _ = try await fixture.pool.query("TRUNCATE ovenbird.documents_\(literal: id)")
            #expect(try await fixture.number("SELECT count(*) FROM ovenbird.vectors_\(literal: id)") == 0)
        }
    }
}
