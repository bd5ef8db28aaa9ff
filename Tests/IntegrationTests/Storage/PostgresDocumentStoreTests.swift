import Embeddings
import JSON
import Postgres
import Storage
import Testing

@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresDocumentStoreTests {
    enum Implementation: CaseIterable {
        case postgres
        case memory
    }

    @Test(arguments: StoreClaim.all, Implementation.allCases)
    func keepsTheContract(claim: StoreClaim, implementation: Implementation) async throws {
        switch implementation {
        case .postgres: try await TestDatabase.withStore { store, _ in try await claim.check(store) }
        case .memory: try await claim.check(MemoryDocumentStore())
        }
    }

    @Test func whatIsUnchangedIsNotWritten() async throws {
        try await TestDatabase.withStore { store, pool in
            let collection = try await Sample.collection(in: store)
            let writes = try (0..<50).map { try Sample.write("d\($0)", "text \($0)", #"{"n":\#($0)}"#) }
            _ = try await store.write(writes, to: collection)
            func versions() async throws -> [String] {
                try await pool.query(
                    """
                    SELECT (d.ctid, d.revision, v.ctid)::text FROM \(sql: collection.documents) AS d
                    JOIN \(sql: collection.vectors) AS v ON v.document_id = d.id ORDER BY d.external_id
                    """
                ).map { try $0.decode(0) }
            }
            let before = try await versions()
            let bare = writes.map { DocumentWrite(draft: $0.draft, embedding: nil) }
            #expect(try await store.write(writes, to: collection).allSatisfy { $0 == .unchanged })
            #expect(try await store.write(bare, to: collection).allSatisfy { $0 == .unchanged })
            #expect(try await versions() == before)

            // New metadata leaves the vector's row where it is.
            _ = try await store.write([try Sample.writeMetadata("d0", "text 0", #"{"n":"new"}"#)], to: collection)
            let after = try await versions()
            #expect(after[0] != before[0] && after.dropFirst() == before.dropFirst())
            #expect(after[0].split(separator: ",").suffix(2) == before[0].split(separator: ",").suffix(2))
        }
    }

    @Test func theViewIsReadWithPlainSQL() async throws {
        try await TestDatabase.withStore { store, pool in
            let name = try #require(CollectionName(String(repeating: "a-_9", count: 16).dropLast().description))
            let answer = try await store.createCollection(
                CollectionSpecification(name: name, model: Sample.model()))
            guard case .created(let collection) = answer else { throw ContractBroken("\(answer)") }
            _ = try await store.write(
                [
                    DocumentWrite(
                        draft: try Sample.draft("a", "some text", #"{"k":[1]}"#),
                        embedding: Sample.embedding([1, 0.5, -2, 1e-7], tokenCount: 5, isTruncated: true))
                ], to: collection)
            let rows = try await pool.query(
                """
                SELECT id, text, metadata, embedding::text, token_count, truncated
                FROM ovenbird_views.\(identifier: name.description)
                """)
            let row = try #require(rows.first)
            #expect(try row.decode(0) == "a" && row.decode(1) == "some text")
            #expect(try row.decode(2) == JSONBText(#"{"k": [1]}"#))
            // 1e-7 is a subnormal half: 2 × 2⁻²⁴.
            #expect(try row.decode(3) == "[1,0.5,-2,1.1920929e-07]")
            #expect(try row.decode(4) == 5 && row.decode(5) == true)

            #expect(try await store.dropCollection(named: name))
            let relations = try await pool.query(
                """
                SELECT relname::text FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
                WHERE nspname LIKE 'ovenbird%' AND relname SIMILAR TO '(documents|vectors|a)_%'
                """)
            #expect(relations.isEmpty)
        }
    }

    @Test(arguments: [1, 4_000, 4_001, 16_000])
    func vectorsOfEverySizeAreKept(dimensions: Int) async throws {
        try await TestDatabase.withStore { store, _ in
            let collection = try await Sample.collection(in: store, dimensions: dimensions)
            let vectors = Sample.vectors(3, dimensions: dimensions, seed: 9)
            let writes = try vectors.enumerated().map { index, vector in
                DocumentWrite(draft: try Sample.draft("\(index)"), embedding: Sample.embedding(vector.values))
            }
            _ = try await store.write(writes, to: collection)
            let hits = try await store.search(
                SearchRequest(vector: vectors[1], limit: 3, includesVectors: true), in: collection)
            #expect(abs((hits.first?.score ?? 0) - 1) < 1e-6)
            for hit in hits {
                let index = try #require(Int(hit.id))
                #expect(hit.vector?.values == vectors[index].values.map { Float(Float16($0)) })
            }
        }
    }

    /// Halves, the middles between them, and their neighbours, subnormal ones included.
    @Test func valuesAreRoundedToTheNearestHalfTiesToEven() async throws {
        try await TestDatabase.withStore { store, _ in
            let collection = try await Sample.collection(in: store, dimensions: 16_000)
            let values = (0..<16_000).map { index -> Float in
                let pattern = UInt16(index % 2_000 * 9)
                let low = Float(Float16(bitPattern: pattern))
                let middle = (low + Float(Float16(bitPattern: pattern + 1))) / 2
                let value = [low, middle, middle.nextUp, middle.nextDown][index / 2_000 % 4]
                return index < 8_000 ? value : -value
            }
            _ = try await store.write(
                [DocumentWrite(draft: try Sample.draft("a"), embedding: Sample.embedding(values))], to: collection)
            let hits = try await store.search(
                SearchRequest(vector: EmbeddingVector(values), limit: 1, includesVectors: true), in: collection)
            #expect(hits.first?.vector?.values == values.map { Float(Float16($0)) })
        }
    }

    @Test func theExtensionMayStandAndMoveAnywhere() async throws {
        try await TestDatabase.with { database in
            let connection = try await database.connect()
            try await connection.script(
                #"CREATE SCHEMA "odd ""schema"; CREATE EXTENSION vector SCHEMA "odd ""schema""#)
            _ = try await SchemaMigrations.migrator().migrate(on: connection)
            let pool = PostgresPool(configuration: database.configuration)
            let store = PostgresDocumentStore(pool: pool)
            for claim in StoreClaim.searches { try await claim.check(store) }
            // Made anew, its types have other numbers; the store finds them.
            try await connection.script(
                #"DROP EXTENSION vector CASCADE; CREATE SCHEMA other; CREATE EXTENSION vector SCHEMA other"#)
            for claim in StoreClaim.searches { try await claim.check(store) }
            await pool.close()
            await connection.close()
        }
    }

    @Test func aDatabaseThatTakesNoWritesIsNamedSo() async throws {
        try await TestDatabase.withStore { store, pool in
            let collection = try await Sample.collection(in: store)
            _ = try await store.write([try Sample.write("a")], to: collection)
            _ = try await pool.query(
                """
                DO $$ BEGIN
                    EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
                END $$
                """)
            // New sessions obey, so a pooler has to make new ones too; the last one to be ended is that of the statement.
            _ = try? await pool.query(
                """
                SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()
                ORDER BY pid = pg_backend_pid()
                """)
            let readOnlyPool = PostgresPool(configuration: pool.configuration)
            let readOnly = PostgresDocumentStore(pool: readOnlyPool)
            try await eventually("a write is not refused") {
                do {
                    _ = try await readOnly.write([try Sample.write("a", "other")], to: collection)
                } catch StorageError.notWritable {
                    return true
                } catch StorageError.unavailable {
                    // The pooler has not noticed yet that its session was ended.
                }
                return false
            }
            #expect(try await readOnly.documentCount(in: collection) == 1)
            await readOnlyPool.close()
        }
    }

    @Test func aDropWaitsForNobodyForLong() async throws {
        try await TestDatabase.withStore { store, pool in
            let collection = try await Sample.collection(in: store)
            let reader = try await PostgresConnection.open(pool.configuration)
            _ = try await reader.query("BEGIN")
            _ = try await reader.query("SELECT FROM \(sql: collection.documents)")
            await #expect {
                try await store.dropCollection(named: collection.name)
            } throws: { error in
                if case StorageError.unavailable = error { true } else { false }
            }
            _ = try await reader.query("COMMIT")
            await reader.close()
            #expect(try await store.documentCount(in: collection) == 0)
            #expect(try await store.dropCollection(named: collection.name))
        }
    }

    @Test func anUnreachableServerIsUnavailable() async throws {
        let pool = PostgresPool(
            configuration: try PostgresConfiguration(url: "postgresql://nobody@127.0.0.1:1/none"))
        let store = PostgresDocumentStore(pool: pool)
        guard case .unavailable? = await store.unavailability() else { throw ContractBroken("available") }
        guard case .outOfReach = await ServerCheck.run(on: pool) else { throw ContractBroken("in reach") }
        await pool.close()
    }

    @Test func theCheckNamesTheCommandUntilTheSchemaIsThere() async throws {
        try await TestDatabase.with { database in
            let pool = PostgresPool(configuration: database.configuration)
            func refusal() async -> String? {
                if case .refused(let reason) = await ServerCheck.run(on: pool) { reason } else { nil }
            }
            #expect(await ServerCheck.runBeforeMigration(on: pool) == .ready(warnings: []))
            #expect(await refusal()?.contains("ovenbird migrate --database-url") == true)
            let connection = try await database.connect()
            try await connection.script("CREATE EXTENSION vector")
            #expect(await refusal()?.contains("ovenbird migrate --database-url") == true)
            _ = try await SchemaMigrations.migrator().migrate(on: connection)
            #expect(await ServerCheck.run(on: pool) == .ready(warnings: []))
            await connection.close()
            await pool.close()
        }
    }
}

extension TestDatabase {
    /// A store on a fresh, migrated database, and its pool.
    static func withStore(
        _ body: (PostgresDocumentStore, PostgresPool) async throws -> Void
    ) async throws {
        try await with { database in
            try await database.withMigratedPool { try await body(PostgresDocumentStore(pool: $0), $0) }
        }
    }

    /// Migrates, and runs the body with a pool of this database.
    func withMigratedPool(_ body: (PostgresPool) async throws -> Void) async throws {
        let connection = try await connect()
        _ = try await SchemaMigrations.migrator().migrate(on: connection)
        await connection.close()
        var configuration = configuration
        // Two hundred callers at once wait their turn here, on a machine that may be busy with other things.
        configuration.acquireTimeout = .seconds(60)
        configuration.commandTimeout = .seconds(20)
        let pool = PostgresPool(configuration: configuration)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(pool))
        } catch {
            result = .failure(error)
        }
        await pool.close()
        try result.get()
    }
}

extension DocumentCollection {
    fileprivate var documents: PostgresStatement { "ovenbird.documents_\(literal: Int(id))" }
    fileprivate var vectors: PostgresStatement { "ovenbird.vectors_\(literal: Int(id))" }
}
