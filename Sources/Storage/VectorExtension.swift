import Embeddings
import Postgres
import Synchronization

/// Where pgvector stands in this database, and the numbers of its types there.
struct VectorExtension: Sendable, Equatable {
    let schema: String
    let halfvecOID: UInt32
    let halfvecArrayOID: UInt32

    /// The cosine distance, 0 to 2.
    var cosineDistance: PostgresStatement { "OPERATOR(\(identifier: schema).<=>)" }

    func parameter(_ vector: HalfVector) -> PostgresStatement {
        let value = PostgresParameter(typeOID: halfvecOID, bytes: vector.bytes)
        return "\(BoundValue(postgresParameter: value))"
    }

    /// A missing vector is NULL, every other rounded as `HalfVector` does.
    func parameter(_ vectors: [EmbeddingVector?]) -> PostgresStatement {
        let value = PostgresParameter(
            typeOID: halfvecArrayOID, bytes: HalfVector.arrayBytes(rounding: vectors, elementOID: halfvecOID))
        return "\(BoundValue(postgresParameter: value))"
    }

    private struct BoundValue: PostgresEncodable {
        let postgresParameter: PostgresParameter
    }
}

extension VectorExtension {
    /// Remembers what a database said of its extension until a statement fails in a way that says otherwise: the
    /// numbers change when the extension, or the whole database, is made anew. The lock guards one value.
    final class Cache: Sendable {
        private let known = Mutex<VectorExtension?>(nil)

        func forget() {
            known.withLock { $0 = nil }
        }

        /// Runs work that needs the extension. It is done again, a few times at most, where the server undid it for the
        /// sake of another transaction, and where pgvector's types are not (or no longer) what we took them for; the
        /// work must bear being done twice.
        func run<Result>(
            on pool: PostgresPool, _ work: (VectorExtension) async throws(PostgresError) -> Result
        ) async throws(PostgresError) -> Result {
            var attemptsLeft = 3
            while true {
                attemptsLeft -= 1
                do throws(PostgresError) {
                    return try await work(try await value(from: pool))
                } catch {
                    switch error.code {
                    // serialization_failure, deadlock_detected
                    case "40001", "40P01": break
                    // undefined_object, undefined_function, datatype_mismatch, invalid_schema_name, and the internal
                    // error of a type that went while it was looked up
                    case "42704", "42883", "42804", "3F000", "XX000": forget()
                    default: attemptsLeft = 0
                    }
                    guard attemptsLeft > 0 else { throw error }
                }
            }
        }

        func value(from pool: PostgresPool) async throws(PostgresError) -> VectorExtension {
            if let value = known.withLock({ $0 }) { return value }
            let rows = try await pool.read(
                """
                SELECT n.nspname::text, t.oid, t.typarray FROM pg_catalog.pg_extension AS e
                JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
                JOIN pg_catalog.pg_type AS t ON t.typnamespace = n.oid AND t.typname = 'halfvec'
                WHERE e.extname = 'vector'
                """)
            guard let row = rows.first else {
                throw .server(PostgresServerError(code: "42704", message: "pgvector's type halfvec is not there"))
            }
            let value = VectorExtension(
                schema: try row.decode(0), halfvecOID: try row.decode(1), halfvecArrayOID: try row.decode(2))
            known.withLock { $0 = value }
            return value
        }
    }
}
