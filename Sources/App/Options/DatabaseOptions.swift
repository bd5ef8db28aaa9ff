import ArgumentParser
import Postgres

/// Where documents and vectors are kept.
struct DatabaseOptions: ParsableArguments {
    static let defaultConnections = 8

    @Option(
        help: """
            PostgreSQL 15 or newer with pgvector 0.7 or newer, as a libpq URL; memory: keeps documents in memory, for \
            trying out. Without it there are embeddings only.
            """)
    var databaseUrl: String?

    @Option(help: "Connections to PostgreSQL at most; job workers have two more than there are of them besides.")
    var databaseConnections: Int = defaultConnections

    @Option(help: "Milliseconds that PostgreSQL may take for one statement before the request is answered 503.")
    var databaseTimeout: Int = 2_500

    mutating func validate() throws {
        try requireRange(1...1_000, of: "--database-connections", databaseConnections)
        try requireRange(100...3_600_000, of: "--database-timeout", databaseTimeout)
    }

    func configuration(url: String) throws(CommandFailure) -> PostgresConfiguration {
        do {
            var configuration = try PostgresConfiguration(url: url)
            configuration.maximumConnections = databaseConnections
            configuration.commandTimeout = .milliseconds(databaseTimeout)
            return configuration
        } catch {
            throw .usage("--database-url: \(error)")
        }
    }
}
