extension LibPQConnection {
    /// Runs one statement.
    func query(_ statement: PostgresStatement, patience: Patience) throws(PostgresError) -> PostgresResult {
        try send(statement)
        return try answer(patience) ?? .none
    }

    /// Runs a script, and drops its results.
    func script(_ sql: String, patience: Patience) throws(PostgresError) {
        try sendScript(sql)
        _ = try answer(patience)
    }

    /// Runs the statements between BEGIN (with the statement that sets the limits) and COMMIT, all sent before the first
    /// answer is read.
    func transaction(
        _ statements: [PostgresStatement], limits: PostgresStatement?, patience: Patience
    ) throws(PostgresError) -> [PostgresResult] {
        let opening: [PostgresStatement] = limits.map { ["BEGIN", $0] } ?? ["BEGIN"]
        let all = opening + statements + ["COMMIT"]
        try enterPipeline()
        for statement in all { try send(statement) }
        try synchronize()
        var results: [PostgresResult] = []
        var failure: PostgresError?
        for _ in all {
            var result = PostgresResult.none
            while let reply = try nextReply(patience) {
                switch reply {
                case .result(let value): result = value
                case .error(let error): failure = failure ?? error
                case .skipped, .synchronized: break
                }
            }
            results.append(result)
        }
        try finishPipeline(patience)
        guard let failure else { return Array(results.dropFirst(opening.count).dropLast()) }
        // The statements after the failed one were skipped, COMMIT among them, and left the transaction open.
        if isInTransaction, isReady { _ = try query("ROLLBACK", patience: patience) }
        throw failure
    }

    /// Reads what is left of a cancelled command's answer, so that the next one can be sent. A pipeline's transaction is
    /// rolled back; one that the caller began is the caller's to end.
    func settle(patience: Patience) throws(PostgresError) {
        if isInPipeline {
            try finishPipeline(patience)
            if isInTransaction, isReady { _ = try query("ROLLBACK", patience: patience) }
        } else {
            while try nextReply(patience) != nil {}
        }
    }

    private func finishPipeline(_ patience: Patience) throws(PostgresError) {
        var isSynchronized = false
        while !isSynchronized {
            if case .synchronized = try nextReply(patience) { isSynchronized = true }
        }
        try exitPipeline()
    }

    /// Reads a command's answer to its end: its last result, or its first error.
    private func answer(_ patience: Patience) throws(PostgresError) -> PostgresResult? {
        var result: PostgresResult?
        var failure: PostgresError?
        while let reply = try nextReply(patience) {
            switch reply {
            case .result(let value): result = value
            case .error(let error): failure = failure ?? error
            case .skipped, .synchronized: break
            }
        }
        if let failure { throw failure }
        return result
    }
}

extension PostgresResult {
    /// No columns, no rows.
    static let none = PostgresResult(columns: [], rowCount: 0, storage: [], cells: [], affectedRowCount: 0)
}
