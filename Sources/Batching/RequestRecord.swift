import Embeddings

/// One request on its way.
struct RequestRecord {
    private enum Row {
        /// Waits or runs, under that name.
        case open(order: UInt64, tokenCount: Int, isTruncated: Bool)
        case done(Result<Embedding, EmbeddingError>)
    }

    let lane: Lane
    let client: ClientID
    let deadline: ContinuousClock.Instant?
    let failurePolicy: FailurePolicy
    let begunAt: ContinuousClock.Instant
    /// What the queue said when the request was admitted.
    var forecast: QueueForecast?
    private var admittedAt: ContinuousClock.Instant
    /// One a text; empty while the request is tokenized.
    private var rows: [Row] = []
    private var openCount = 0
    private(set) var openTokenCount = 0

    init(_ request: EmbeddingRequest, now: ContinuousClock.Instant) {
        lane = request.lane
        client = request.client
        deadline = request.deadline
        failurePolicy = request.failurePolicy
        begunAt = now
        admittedAt = now
    }

    var isDone: Bool { openCount == 0 && !rows.isEmpty }
    /// Names of the texts that wait or run; one twice, where the request holds a text twice.
    var openOrders: [UInt64] { rows.compactMap { if case .open(let order, _, _) = $0 { order } else { nil } } }

    mutating func beginRows(_ count: Int, now: ContinuousClock.Instant) {
        rows.reserveCapacity(count)
        admittedAt = now
    }

    mutating func appendOpen(_ sequence: TokenSequence, order: UInt64) {
        rows.append(.open(order: order, tokenCount: sequence.ids.count, isTruncated: sequence.isTruncated))
        openCount += 1
        openTokenCount += sequence.ids.count
    }

    mutating func appendFailed(_ error: EmbeddingError) {
        rows.append(.done(.failure(error)))
    }

    /// An open text has its vector, or none. Returns its tokens.
    mutating func finish(_ index: Int, _ result: Result<EmbeddingVector, EmbeddingError>) -> Int {
        guard case .open(_, let tokenCount, let isTruncated) = rows[index] else { return 0 }
        rows[index] = .done(
            result.map { Embedding(vector: $0, tokenCount: tokenCount, isTruncated: isTruncated) })
        openCount -= 1
        openTokenCount -= tokenCount
        return tokenCount
    }

    /// - Precondition: done.
    ///
    /// - Parameter lastPass: the pass that ended last; nil where no text needed one.
    func report(lastPass: Pass?, now: ContinuousClock.Instant) -> EmbeddingReport {
        precondition(isDone)
        // A text may have joined one whose pass had begun before.
        let begun = max(admittedAt, lastPass?.startedAt ?? now)
        return EmbeddingReport(
            results: rows.compactMap { if case .done(let result) = $0 { result } else { nil } },
            timing: EmbeddingTiming(
                tokenize: begunAt.duration(to: admittedAt), queue: admittedAt.duration(to: begun),
                compute: begun.duration(to: now)),
            promisedWait: forecast?.wait)
    }
}
