/// Why the service gave no good answer.
package enum ServiceFailure: Error, Equatable {
    /// No connection came about, so nothing was sent.
    case unreachable(String)
    /// The connection ended before the answer did; what was asked may have been done.
    case lost(String)
    /// The service's own refusal.
    case refused(status: Int, code: String, message: String)
    /// An answer that is none of this service's.
    case unexpected(String)

    /// Whether the same request may succeed later.
    var isPassing: Bool {
        switch self {
        case .unreachable, .lost: true
        case .refused(let status, _, _): status == 429 || status == 502 || status == 503 || status == 504
        case .unexpected: false
        }
    }

    var commandFailure: CommandFailure {
        switch self {
        case .unreachable(let details): .failed("the server cannot be reached: \(details)")
        case .lost(let details): .failed("the connection to the server was lost: \(details)")
        case .refused(let status, let code, let message): .failed("\(message) (\(code), HTTP \(status))")
        case .unexpected(let details): .failed("what answers there is no Ovenbird: \(details)")
        }
    }
}
