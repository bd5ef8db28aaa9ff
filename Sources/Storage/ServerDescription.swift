import Postgres

/// What decides whether a server can hold collections at all.
package struct ServerDescription: Sendable, Equatable {
    package enum Verdict: Equatable {
        case usable(warnings: [String])
        case refused(reason: String)
    }

    /// As `server_version_num`: 150018 is 15.18.
    package let version: Int
    package let encoding: String
    /// Of pgvector in this database.
    package let extensionVersion: String?
    /// Whether the server has pgvector's files.
    package let offersExtension: Bool

    package init(version: Int, encoding: String, extensionVersion: String?, offersExtension: Bool) {
        self.version = version
        self.encoding = encoding
        self.extensionVersion = extensionVersion
        self.offersExtension = offersExtension
    }

    static func read(from connection: PostgresConnection) async throws(PostgresError) -> ServerDescription {
        let rows = try await connection.query(
            """
            SELECT pg_catalog.current_setting('server_version_num')::int8,
                pg_catalog.current_setting('server_encoding'),
                (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'),
                EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'vector')
            """)
        guard let row = rows.first else { throw .decoding("no description of the server") }
        return ServerDescription(
            version: try row.decode(0), encoding: try row.decode(1), extensionVersion: try row.decode(2),
            offersExtension: try row.decode(3))
    }

    /// - Parameter wantsExtension: whether pgvector must be in the database already.
    package func verdict(wantsExtension: Bool) -> Verdict {
        let major = version / 10_000
        guard major >= 15 else {
            return .refused(reason: "PostgreSQL \(major) is too old: 15 or newer is needed")
        }
        guard encoding == "UTF8" else {
            return .refused(
                reason: """
                    the database's encoding is \(encoding), which cannot hold every text; make one with: \
                    CREATE DATABASE ovenbird ENCODING 'UTF8' TEMPLATE template0;
                    """)
        }
        guard let extensionVersion else {
            guard offersExtension else {
                return .refused(
                    reason: """
                        this PostgreSQL server has no pgvector; install the package postgresql-\(major)-pgvector on it, \
                        or run the image pgvector/pgvector:pg\(major)
                        """)
            }
            guard wantsExtension else { return .usable(warnings: []) }
            return .refused(
                reason: """
                    the database lacks the extension pgvector; run `ovenbird migrate --database-url URL`, or as a \
                    superuser in this database: CREATE EXTENSION vector;
                    """)
        }
        let parts = extensionVersion.split(separator: "-")[0].split(separator: ".").map { Int($0) ?? 0 }
        guard !parts.lexicographicallyPrecedes([0, 7, 0]) else {
            return .refused(
                reason: """
                    pgvector \(extensionVersion) is too old: 0.7.0 or newer is needed; install a newer one, then run in \
                    this database: ALTER EXTENSION vector UPDATE;
                    """)
        }
        return parts.lexicographicallyPrecedes([0, 8, 2])
            ? .usable(
                warnings: [
                    """
                    pgvector \(extensionVersion) has known faults in index builds (CVE-2026-3172, mended in 0.8.2); \
                    install a newer one, then run in this database: ALTER EXTENSION vector UPDATE;
                    """
                ])
            : .usable(warnings: [])
    }
}
