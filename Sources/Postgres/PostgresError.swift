/// Why a statement gave no result. `description` is safe to send to a client; `debugDescription` is for the log.
package enum PostgresError: Error, Sendable, Equatable {
    /// The server cannot be reached, was lost, did not answer in time, is starting or stopping, or has no connection
    /// left. The same call may succeed later. A statement that ended so may have been carried out.
    case unavailable(String)
    /// The server refused the statement.
    case server(PostgresServerError)
    /// A value is not of the type that the caller asked for.
    case decoding(String)
    /// The connection string cannot be used.
    case configuration(String)
    /// The calling task was cancelled. The statement may have been carried out.
    case cancelled
}

/// What the server said when it refused a statement.
package struct PostgresServerError: Error, Sendable, Equatable {
    /// The five characters of the SQLSTATE.
    package var code: String
    package var message: String
    package var detail: String?
    package var hint: String?
    /// The constraint that was violated.
    package var constraint: String?
    package var table: String?

    package init(
        code: String, message: String, detail: String? = nil, hint: String? = nil, constraint: String? = nil,
        table: String? = nil
    ) {
        self.code = code
        self.message = message
        self.detail = detail
        self.hint = hint
        self.constraint = constraint
        self.table = table
    }
}

extension PostgresError {
    /// The SQLSTATE, where the server gave one.
    package var code: String? {
        guard case .server(let error) = self else { return nil }
        return error.code
    }

    /// States in which the server, not the statement, is at fault, and a later call may succeed: class 08 (connection),
    /// 53300 (too many connections), 57P01 to 57P03 and 57P05 (stopping, crashed, starting, idle too long), 25P03 and
    /// 25P04 (a transaction idle, or open, for too long). See PostgreSQL's appendix A.
    static func classify(_ error: PostgresServerError) -> PostgresError {
        switch error.code {
        case "53300", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04": .unavailable(error.message)
        case let code where code.hasPrefix("08"): .unavailable(error.message)
        default: .server(error)
        }
    }

    /// Why no connection was made, from libpq's verbose message. A server that knows neither this password nor this
    /// database will not know them in a moment: class 28 (invalid authorization), 3D000 (no such database), 42501 (no
    /// right to connect). Everything else may pass.
    package static func connecting(message: String) -> PostgresError {
        guard let found = message.matches(of: /:  ([0-9A-Z]{5}):\s/).last else { return .unavailable(message) }
        let code = String(found.1)
        let rest = message[found.range.upperBound...]
        // Behind the message libpq names the line of the server's source.
        let end = rest.firstRange(of: " LOCATION:  ")?.lowerBound ?? rest.endIndex
        let text = "\(message[..<found.range.lowerBound]): \(rest[..<end])"
        let isFinal = code.hasPrefix("28") || code == "3D000" || code == "42501"
        return isFinal
            ? .server(PostgresServerError(code: code, message: text)) : .unavailable("\(text) (SQLSTATE \(code))")
    }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String {
        switch self {
        case .unavailable: "the database cannot be reached now"
        case .server(let error): "the database refused the statement (SQLSTATE \(error.code))"
        case .decoding: "the database answered with a value of an unexpected type"
        case .configuration(let reason): reason
        case .cancelled: "the call was cancelled"
        }
    }

    package var debugDescription: String {
        switch self {
        case .unavailable(let reason): "unavailable: \(reason)"
        case .server(let error): error.debugDescription
        case .decoding(let reason): "decoding: \(reason)"
        case .configuration(let reason): "configuration: \(reason)"
        case .cancelled: "cancelled"
        }
    }
}

extension PostgresServerError: CustomDebugStringConvertible {
    package var debugDescription: String {
        var text = "\(code): \(message)"
        if let detail { text += " DETAIL: \(detail)" }
        if let hint { text += " HINT: \(hint)" }
        if let constraint { text += " CONSTRAINT: \(constraint)" }
        return text
    }
}
