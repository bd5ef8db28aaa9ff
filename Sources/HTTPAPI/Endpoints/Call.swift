import Embeddings
import HTTPTypes
import HummingbirdCore

/// One request under way, as its endpoint sees it.
struct Call: Sendable {
    let request: Request
    /// Whose turn it takes in the queue: that of its API key, or, where none is asked for, of its connection.
    let client: ClientID
    /// When its head had come.
    let arrival: ContinuousClock.Instant
    let permit: BodyPermit

    /// When the answer is of no use any more, where the client says so in `X-Request-Timeout-Ms`.
    ///
    /// - Parameter maximum: the longest time that a client may name.
    func deadline(within maximum: Duration) throws(APIError) -> ContinuousClock.Instant? {
        guard let value = request.headers[.requestTimeout] else { return nil }
        let limit = maximum.wholeMilliseconds
        let digits = value.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard digits, let milliseconds = Int64(value), (1...limit).contains(milliseconds) else {
            throw APIError(
                RequestError.invalidValue(
                    field: HTTPField.Name.requestTimeout.rawName,
                    reason: "X-Request-Timeout-Ms must be one whole number of milliseconds from 1 to \(limit)"))
        }
        return arrival + .milliseconds(milliseconds)
    }
}

extension Optional<ContinuousClock.Instant> {
    /// Refuses to go on with what has come too late.
    func check() throws(APIError) {
        if let deadline = self, deadline <= .now { throw APIError(EmbeddingError.deadlineExceeded) }
    }
}
