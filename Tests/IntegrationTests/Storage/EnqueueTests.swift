import Embeddings
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct EnqueueTests {
    private let model = Sample.model()

    /// Runs the body with a collection's name on a migrated database.
    private func withCollection(
        _ body: (String, PostgresPool) async throws -> Void
    ) async throws {
        try await TestDatabase.withStore { store, pool in
            try await body(try await Sample.collection(in: store).name.description, pool)
        }
    }

    private func enqueue(_ collection: String, _ id: String, _ text: String) -> PostgresStatement {
        "SELECT ovenbird.enqueue(\(collection), \(id), \(text))"
    }

    @discardableResult
    private func gather(_ limit: Int = 1_000, on pool: PostgresPool) async throws -> Int {
        let answer = try await pool.query(
            "SELECT ovenbird.gather_enqueued(\(model.fingerprint.bytes), \(Int32(limit)))")
        return try #require(answer.first).decode(0)
    }

    private func texts(_ statement: PostgresStatement, on pool: PostgresPool) async throws -> [String] {
        try await pool.query(statement).map { try $0.decode(0) }
    }

    @Test func aCommittedDocumentBecomesAJobsInput() async throws {
        try await withCollection { collection, pool in
            _ = try await pool.query(
                "SELECT ovenbird.enqueue(\(collection), 'a', 'text', \(JSONBText(#"{"k":[1]}"#)))")
            #expect(try await gather(on: pool) == 1)
            let found = try await texts(
                """
                SELECT concat_ws(' ', j.state, j.source, j.owner = session_user, j.total, j.collection_name = \(collection),
                    i.seq, i.external_id, i.text, i.metadata, i.content_sha256 = sha256('text'), s.first_seq, s.last_seq,
                    s.byte_count, s.state)
                FROM ovenbird.jobs AS j JOIN ovenbird.job_inputs AS i ON i.job_id = j.id
                JOIN ovenbird.job_segments AS s ON s.job_id = j.id
                """, on: pool)
            #expect(found == [#"queued sql t 1 t 0 a text {"k": [1]} t 0 0 4 available"#])
            let identifiers = try await texts("SELECT public_id FROM ovenbird.jobs", on: pool)
            #expect(identifiers.allSatisfy { JobID($0) != nil })
            #expect(try await gather(on: pool) == 0)
        }
    }

    @Test func whatIsRolledBackWasNeverEnqueued() async throws {
        try await withCollection { collection, pool in
            await #expect(throws: PostgresError.self) {
                try await pool.transaction([enqueue(collection, "a", "text"), "SELECT 1/0"])
            }
            let taken = try await gather(on: pool)
            #expect(taken == 0)
        }
    }

    @Test func theLatestTextOfAnIDWins() async throws {
        try await withCollection { collection, pool in
            for text in ["first", "second"] { _ = try await pool.query(enqueue(collection, "a", text)) }
            #expect(try await gather(on: pool) == 1)
            _ = try await pool.query(enqueue(collection, "a", "third"))
            #expect(try await gather(on: pool) == 1)
            let byVersion = try await texts("SELECT text FROM ovenbird.job_inputs ORDER BY version", on: pool)
            #expect(byVersion == ["second", "third"])
        }
    }

    /// The one that began first and commits last wins, though the other's row came and went meanwhile.
    @Test func versionsFollowCommitsNotBeginnings() async throws {
        try await withCollection { collection, pool in
            let early = try await PostgresConnection.open(pool.configuration)
            let late = try await PostgresConnection.open(pool.configuration)
            _ = try await late.query("BEGIN")
            _ = try await late.query(enqueue(collection, "a", "of the one who commits first"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await early.query(enqueue(collection, "a", "of the one who commits last")) }
                try await eventually("nobody waits for the row") {
                    try await texts(
                        """
                        SELECT query FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'
                        """, on: pool
                    ).count == 1
                }
                #expect(try await gather(on: pool) == 0)
                _ = try await late.query("COMMIT")
                try await group.waitForAll()
            }
            try await gather(on: pool)
            let byVersion = try await texts("SELECT text FROM ovenbird.job_inputs ORDER BY version", on: pool)
            #expect(byVersion.last == "of the one who commits last")
            await early.close()
            await late.close()
        }
    }

    @Test func whatSomebodyIsWritingIsLeftForLater() async throws {
        try await withCollection { collection, pool in
            for id in ["a", "b"] { _ = try await pool.query(enqueue(collection, id, "old")) }
            let writer = try await PostgresConnection.open(pool.configuration)
            _ = try await writer.query("BEGIN")
            _ = try await writer.query(enqueue(collection, "a", "new"))
            #expect(try await gather(on: pool) == 1)
            _ = try await writer.query("ROLLBACK")
            #expect(try await gather(on: pool) == 1)
            let inputs = try await texts(
                "SELECT external_id || ' ' || text FROM ovenbird.job_inputs ORDER BY 1", on: pool)
            #expect(inputs == ["a old", "b old"])
            await writer.close()
        }
    }

    @Test func gatherersAtOnceTakeEachDocumentOnce() async throws {
        try await withCollection { collection, pool in
            _ = try await pool.query(
                """
                SELECT count(ovenbird.enqueue(\(collection), 'd' || i, repeat('x', 1 + i % 5000)))
                FROM generate_series(1, 3000) AS i
                """)
            let taken = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var sum = 0
                        while case let count = try await gather(300, on: pool), count > 0 { sum += count }
                        return sum
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(taken == 3_000)
            let ids = try await texts("SELECT external_id FROM ovenbird.job_inputs", on: pool)
            #expect(ids.count == 3_000 && Set(ids).count == 3_000)
            // Segments cover their jobs without a gap, and stay within their limits.
            let faults = try await texts(
                """
                SELECT s.job_id::text FROM ovenbird.job_segments AS s
                JOIN LATERAL (
                    SELECT count(*), sum(octet_length(i.text)) AS size FROM ovenbird.job_inputs AS i
                    WHERE i.job_id = s.job_id AND i.seq BETWEEN s.first_seq AND s.last_seq
                ) AS t ON true
                WHERE t.count <> s.last_seq - s.first_seq + 1 OR t.count > 256 OR t.size <> s.byte_count
                    OR t.size > 512 * 1024
                UNION ALL
                SELECT j.public_id FROM ovenbird.jobs AS j
                WHERE j.total <> (
                    SELECT sum(s.last_seq - s.first_seq + 1) FROM ovenbird.job_segments AS s WHERE s.job_id = j.id)
                """, on: pool)
            #expect(faults == [])
        }
    }

    @Test func collectionsOfAnotherModelAreLeftAlone() async throws {
        try await TestDatabase.withStore { store, pool in
            let other = CollectionSpecification(name: try Sample.name(), model: Sample.model(fingerprint: 9))
            _ = try await store.createCollection(other)
            _ = try await pool.query(enqueue(other.name.description, "a", "text"))
            #expect(try await gather(on: pool) == 0)
        }
    }

    @Test func aDroppedCollectionTakesItsDocumentsAlong() async throws {
        try await TestDatabase.withStore { store, pool in
            let collection = try await Sample.collection(in: store)
            _ = try await pool.query(enqueue(collection.name.description, "a", "text"))
            #expect(try await store.dropCollection(named: collection.name))
            #expect(try await texts("SELECT text FROM ovenbird.enqueued_documents", on: pool) == [])
        }
    }

    @Test(arguments: [
        ("'nowhere', 'a', 'text'", "42704", #"there is no collection "nowhere""#),
        ("NULL, 'a', 'text'", "22023", "collection is null"),
        ("'c', '', 'text'", "22023", "id is empty"),
        ("'c', repeat('ä', 257), 'text'", "22023", "id has 514 bytes; at most 512 are taken"),
        ("'c', 'a', ''", "22023", "text is empty"),
        ("'c', 'a', repeat('x', 1048577)", "22023", "text has 1048577 bytes; at most 1048576 are taken"),
        ("'c', 'a', 'text', '[]'", "22023", "metadata must be an object, not of type array"),
        (
            "'c', 'a', 'text', (repeat('{\"a\":', 17) || '1' || repeat('}', 17))::jsonb", "22023",
            "metadata nests deeper than 16 levels"
        ),
        ("'c', 'a', 'text', '{\"a\": [-1e309]}'", "22023", "metadata holds a number beyond a double's range"),
        (
            "'c', 'a', 'text', jsonb_build_object('a', repeat('x', 65536))", "22023",
            "metadata has 65545 bytes; at most 65536 are taken"
        ),
    ])
    func whatCannotBeStoredIsRefusedByName(arguments: String, code: String, message: String) async throws {
        try await withCollection { _, pool in
            let statement = PostgresStatement(unsafeSQL: "SELECT ovenbird.enqueue(\(arguments))")
            let error = await #expect(throws: PostgresError.self) { try await pool.query(statement) }
            guard case .server(let details) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(details.code == code && details.message == message)
        }
    }
}
