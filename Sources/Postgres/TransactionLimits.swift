/// Deadlines that the server itself keeps for one transaction, so that the locks of a client that died or was frozen in
/// the middle are let go. They follow the client's own deadline and lie a little behind it: who is alive never sees them.
package struct TransactionLimits: Sendable, Equatable {
    /// For each lock that a statement waits for; nil: as long as for the statement. Beyond it the server refuses the
    /// statement with SQLSTATE 55P03.
    package var lock: Duration?

    package init(lock: Duration? = nil) {
        self.lock = lock
    }

    /// Nothing but what the client's deadline implies.
    package static let followingClient = TransactionLimits()

    private static let margin: Duration = .milliseconds(500)

    /// Sets them inside a transaction, and for it alone.
    ///
    /// - Parameters:
    ///   - timeout: the client's, for the whole transaction.
    ///   - serverVersion: 10000 × major + minor.
    func statement(timeout: Duration, serverVersion: Int) -> PostgresStatement {
        let whole = String((timeout + Self.margin).wholeMilliseconds)
        let lock = lock.map { String($0.wholeMilliseconds) } ?? whole
        let statement: PostgresStatement = """
            SELECT pg_catalog.set_config('statement_timeout', \(whole), true),
                pg_catalog.set_config('lock_timeout', \(lock), true),
                pg_catalog.set_config('idle_in_transaction_session_timeout', \(whole), true)
            """
        // Before 17 no deadline is running while the server waits for the rest of a pipeline.
        guard serverVersion >= 170_000 else { return statement }
        return statement + ", pg_catalog.set_config('transaction_timeout', \(whole), true)"
    }
}

extension Duration {
    /// At least 1, since 0 would mean no limit, and at most what the server takes.
    fileprivate var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds < Int64(Int32.max) / 1_000 else { return Int64(Int32.max) }
        return max(1, seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
    }
}
