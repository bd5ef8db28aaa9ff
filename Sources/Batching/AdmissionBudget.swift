import Embeddings

/// Counts the tokens of admitted and unfinished inputs, in all and of each client.
struct AdmissionBudget {
    let limit: Int
    private(set) var usedTokens = 0
    private var usedByClient: [ClientID: Int] = [:]

    /// From this share of the limit on nobody who holds some already gets more than an equal part, so that the last
    /// quarter is there for those who hold little.
    private static let openShare = 0.75

    init(limit: Int) {
        self.limit = limit
    }

    /// Clients with unfinished inputs.
    var clientCount: Int { usedByClient.count }

    /// By how many tokens so many more of a client's are too many, in all or for its part; nil where they fit now.
    func shortfall(of client: ClientID, taking tokenCount: Int) -> Int? {
        let used = usedTokens + tokenCount
        guard used <= limit else { return used - limit }
        guard let own = usedByClient[client], used > Int(Double(limit) * Self.openShare) else { return nil }
        let excess = own + tokenCount - limit / clientCount
        return excess > 0 ? excess : nil
    }

    mutating func take(_ tokenCount: Int, for client: ClientID) {
        guard tokenCount > 0 else { return }
        usedTokens += tokenCount
        usedByClient[client, default: 0] += tokenCount
    }

    /// - Precondition: so many were taken for the client.
    mutating func giveBack(_ tokenCount: Int, of client: ClientID) {
        guard tokenCount > 0 else { return }
        let left = (usedByClient[client] ?? 0) - tokenCount
        precondition(left >= 0 && tokenCount <= usedTokens)
        usedTokens -= tokenCount
        usedByClient[client] = left > 0 ? left : nil
    }
}
