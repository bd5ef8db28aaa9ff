/// Where the server is, and how long it may take. Holds a password, so descriptions show none of the parameters' values.
package struct PostgresConfiguration: Sendable {
    /// Connections that the pool opens at most. Each has its own thread, which sleeps while the server works.
    package var maximumConnections = 8
    /// How long opening a connection may take, name resolution and authentication included.
    package var connectTimeout: Duration = .seconds(3)
    /// How long a caller waits for a free connection. With `commandTimeout` it stays below five seconds, within which a
    /// request is answered when the server has stopped.
    package var acquireTimeout: Duration = .seconds(2)
    /// How long a statement or transaction may take before its connection is given up.
    package var commandTimeout: Duration = .milliseconds(2_500)
    /// How long a cancelled statement's connection is waited for before it is given up.
    package var cancelTimeout: Duration = .milliseconds(500)

    /// libpq's keywords and values, as the connection string gave them.
    let parameters: [String: String]

    /// Takes a URL (`postgresql://user@host/database?sslmode=require`) or a string of `keyword=value` pairs, as libpq
    /// documents them in "Connection Strings". What it leaves out comes from libpq's own environment variables and files.
    package init(url: String) throws(PostgresError) {
        parameters = try LibPQ.parseConnectionString(url)
    }

    /// The same server, another database.
    package func withDatabase(_ name: String) -> PostgresConfiguration {
        PostgresConfiguration(copying: self, parameters: parameters.merging(["dbname": name]) { $1 })
    }

    /// The same server; a cancelled statement's connection is given up at once.
    func abandoningCancelledStatements() -> PostgresConfiguration {
        var copy = self
        copy.cancelTimeout = .zero
        return copy
    }

    private init(copying other: PostgresConfiguration, parameters: [String: String]) {
        maximumConnections = other.maximumConnections
        connectTimeout = other.connectTimeout
        acquireTimeout = other.acquireTimeout
        commandTimeout = other.commandTimeout
        cancelTimeout = other.cancelTimeout
        self.parameters = parameters
    }

    /// What libpq is given: the connection string's parameters over these defaults. A peer that vanishes without a word
    /// is noticed by TCP within seconds; a pooler in transaction mode takes every one of them.
    var connectionParameters: [String: String] {
        let defaults = [
            "application_name": "ovenbird",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "10000",
        ]
        // Text travels in the client's encoding, and the codecs know only UTF-8.
        return defaults.merging(parameters) { $1 }.merging(["client_encoding": "UTF8"]) { $1 }
    }
}

extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "PostgresConfiguration(\(parameters.keys.sorted().joined(separator: ", ")))" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
