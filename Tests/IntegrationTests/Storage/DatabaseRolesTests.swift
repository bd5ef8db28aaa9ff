import Embeddings
import Postgres
import Storage
import Testing

/// Serialized, since roles belong to the whole server.
@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct DatabaseRolesTests {
    /// Runs the body with the schema's owner on a migrated database that holds one collection with one document.
    private func withRoles(_ body: (PostgresConnection, _ collection: String) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            let connection = try await database.connect()
            _ = try await SchemaMigrations.migrator().migrate(on: connection)
            let pool = PostgresPool(configuration: database.configuration)
            let store = PostgresDocumentStore(pool: pool)
            let collection = try await Sample.collection(in: store)
            _ = try await store.write([try Sample.write("a")], to: collection)
            try await DatabaseRoles.apply(on: connection)
            await pool.close()
            try await body(connection, collection.name.description)
            await connection.close()
        }
    }

    /// The SQLSTATE with which the statement is refused to the role; nil where it is not.
    private func refusal(
        of statement: PostgresStatement, to role: String, on connection: PostgresConnection
    ) async throws -> String? {
        _ = try await connection.query("SET ROLE \(identifier: role)")
        let result: String?
        do throws(PostgresError) {
            _ = try await connection.query(statement)
            result = nil
        } catch {
            result = error.code ?? "\(error)"
        }
        _ = try await connection.query("RESET ROLE")
        return result
    }

    @Test func readersReadViewsAndWritersEnqueueAndNobodyMore() async throws {
        try await withRoles { connection, collection in
            let stranger = "ovenbird_test_stranger"
            try await connection.script("DROP ROLE IF EXISTS \(stranger); CREATE ROLE \(stranger) NOLOGIN")
            let (reader, writer) = (DatabaseRoles.reader, DatabaseRoles.writer)
            let denied = "42501"
            let view: PostgresStatement = "SELECT id, embedding FROM ovenbird_views.\(identifier: collection)"
            let enqueue: PostgresStatement = "SELECT ovenbird.enqueue(\(collection), 'b', 'text')"
            #expect(try await refusal(of: view, to: reader, on: connection) == nil)
            #expect(try await refusal(of: view, to: writer, on: connection) == nil)
            #expect(try await refusal(of: view, to: stranger, on: connection) == denied)
            #expect(try await refusal(of: enqueue, to: reader, on: connection) == denied)
            #expect(try await refusal(of: enqueue, to: writer, on: connection) == nil)
            #expect(try await refusal(of: enqueue, to: stranger, on: connection) == denied)
            // The right to call it is not PUBLIC's even where the schema is.
            try await connection.script("GRANT USAGE ON SCHEMA ovenbird TO \(stranger)")
            #expect(try await refusal(of: enqueue, to: stranger, on: connection) == denied)
            try await connection.script("REVOKE USAGE ON SCHEMA ovenbird FROM \(stranger)")
            let tables = try await connection.query(
                """
                SELECT c.relname FROM pg_class AS c
                WHERE c.relnamespace = 'ovenbird'::regnamespace AND c.relkind IN ('r', 'v')
                """)
            #expect(tables.count > 8)
            for row in tables {
                let table: PostgresStatement = "SELECT FROM ovenbird.\(identifier: try row.decode(0))"
                for role in [reader, writer, stranger] {
                    #expect(try await refusal(of: table, to: role, on: connection) == denied)
                }
            }
            for write: PostgresStatement in [
                "SELECT nextval('ovenbird.document_versions')", "SELECT ovenbird.gather_enqueued('\\x00', 1)",
                "SELECT ovenbird.drop_collection(\(collection))",
                "UPDATE ovenbird.enqueued_documents SET text = 'other'",
            ] {
                #expect(try await refusal(of: write, to: writer, on: connection) == denied)
            }
            try await connection.script("DROP ROLE \(stranger)")
        }
    }

    @Test func collectionsToComeAreReadToo() async throws {
        try await withRoles { connection, _ in
            try await connection.script(
                "SELECT ovenbird.create_collection('later', 'm', decode(repeat('05', 32), 'hex'), 4, 'cosine')")
            let view: PostgresStatement = "SELECT FROM ovenbird_views.later"
            #expect(try await refusal(of: view, to: DatabaseRoles.reader, on: connection) == nil)
            #expect(try await refusal(of: view, to: DatabaseRoles.writer, on: connection) == nil)
        }
    }

    @Test func applyingThemAgainTakesBackWhatWasGivenBeside() async throws {
        try await withRoles { connection, _ in
            try await connection.script(
                """
                GRANT USAGE ON SCHEMA ovenbird TO \(DatabaseRoles.reader);
                GRANT SELECT ON ovenbird.jobs TO \(DatabaseRoles.reader)
                """)
            let statement: PostgresStatement = "SELECT FROM ovenbird.jobs"
            #expect(try await refusal(of: statement, to: DatabaseRoles.reader, on: connection) == nil)
            try await DatabaseRoles.apply(on: connection)
            #expect(try await refusal(of: statement, to: DatabaseRoles.reader, on: connection) == "42501")
        }
    }

    @Test func whoMayNotCreateRolesIsToldSo() async throws {
        try await TestDatabase.withConnection { connection in
            let plain = "ovenbird_test_owner"
            try await connection.script(
                """
                DROP ROLE IF EXISTS \(plain); CREATE ROLE \(plain) NOLOGIN; CREATE EXTENSION vector;
                DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO \(plain)', current_database()); END $$;
                SET ROLE \(plain)
                """)
            // Ordinary migrations need no more than a schema of their own.
            _ = try await SchemaMigrations.migrator().migrate(on: connection)
            // The server's other databases may have the roles already.
            let missing = try await connection.query(
                "SELECT to_regrole(\(DatabaseRoles.reader)) IS NULL OR to_regrole(\(DatabaseRoles.writer)) IS NULL")
            if try missing.first?.decode(0, as: Bool.self) == true {
                let error = await #expect(throws: PostgresError.self) {
                    try await DatabaseRoles.apply(on: connection)
                }
                #expect(error?.code == "42501")
                #expect(error?.debugDescription.contains("may not create the role") == true)
            } else {
                try await DatabaseRoles.apply(on: connection)
            }
            try await connection.script(
                "RESET ROLE; DROP OWNED BY \(plain) CASCADE; DROP ROLE \(plain)")
        }
    }
}
