package import JSON

/// A job as the service describes it.
package struct JobReport: Sendable {
    package let id: String
    /// A state's word, or `deleted`.
    package let state: String
    package let collection: String?
    package let total: Int
    package let succeeded: Int
    package let failed: Int
    package let deduplicated: Int
    package let textsPerSecond: Double?
    package let secondsLeft: Double?
    /// Unix seconds.
    package let createdAt: Int?
    /// Why the job as a whole has failed.
    package let failure: String?
    /// Of the first inputs that failed.
    package let errors: [String]

    package init(_ object: JSONObject) throws(ServiceFailure) {
        guard let id = object["id"]?.string else { throw .unexpected("a job without an id") }
        self.id = id
        if object["deleted"]?.bool == true {
            state = "deleted"
        } else if let given = object["state"]?.string {
            state = given
        } else {
            throw .unexpected("a job without a state")
        }
        let counts = object["counts"]?.object
        func count(_ name: String) -> Int { counts?[name]?.number?.integer ?? 0 }
        total = count("total")
        succeeded = count("succeeded")
        failed = count("failed")
        deduplicated = count("deduplicated")
        collection = object["collection"]?.string
        textsPerSecond = object["texts_per_second"]?.number?.value
        secondsLeft = object["eta_seconds"]?.number?.value
        createdAt = object["created_at"]?.number?.integer
        let failure = object["failure"]?.object
        self.failure = failure.map { "\($0["message"]?.string ?? "") (\($0["code"]?.string ?? "failed"))" }
        errors = (object["errors"]?.array ?? []).compactMap(\.object).map { error in
            let index = error["index"]?.number?.integer.map { "input \($0), " } ?? ""
            return "\(index)id '\(error["id"]?.string ?? "")': \(error["message"]?.string ?? "") "
                + "(\(error["code"]?.string ?? ""))"
        }
    }

    package var ended: Int { succeeded + failed }

    package var hasEnded: Bool {
        switch state {
        case "completed", "cancelled", "failed", "deleted": true
        default: false
        }
    }

    /// How a command that waited for the job ends; nil where everything has succeeded.
    package var commandFailure: CommandFailure? {
        switch state {
        case "completed" where failed == 0: nil
        case "completed":
            .failed(
                (["\(failed) of \(total) inputs of \(id) have no vector"] + errors).joined(separator: "\n  "))
        case "failed": .failed("\(id) has failed: \(failure ?? "no reason was given")")
        default: .failed("\(id) was \(state)")
        }
    }
}
