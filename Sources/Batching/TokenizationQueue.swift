package import Embeddings

/// A few inputs of one request, tokenized in one go.
package struct TokenizationChunk: Sendable, Equatable {
    package let request: RequestID
    /// The place of the first of `inputs` in its request.
    package let firstIndex: Int
    package let inputs: [EmbeddingInput]
    package let role: TextRole
    package let truncation: TruncationPolicy
    package let failurePolicy: FailurePolicy
}

/// Requests that wait for their tokens, a chunk at a time. A new request's first chunk and another's next chunk take
/// turns, so that a small request passes a large one, and a flood of small ones does not stop it.
struct TokenizationQueue {
    /// Texts of a chunk, and bytes after which it ends: about 6 ms of one thread, what a small request may wait for at
    /// most.
    static let chunkInputs = 256
    static let chunkBytes = 64 << 10

    private struct Job {
        let request: EmbeddingRequest
        let byteCount: Int
        let arrival: ContinuousClock.Instant
        var results: [Result<TokenSequence, EmbeddingError>] = []
    }

    enum Progress {
        /// The request was cancelled meanwhile.
        case gone
        case unfinished
        case finished([Result<TokenSequence, EmbeddingError>], began: ContinuousClock.Instant)
    }

    private(set) var byteCount = 0
    private var jobs: [RequestID: Job] = [:]
    // Ids may be of jobs that are gone; those are skipped.
    private var fresh = FirstInFirstOut<RequestID>()
    private var begun = FirstInFirstOut<RequestID>()
    private var isTurnOfBegun = false

    var isEmpty: Bool { jobs.isEmpty }

    static func byteCount(of request: EmbeddingRequest) -> Int {
        request.inputs.reduce(0) { $0 + byteCount(of: $1) }
    }

    /// Four bytes a token: exact for token ids, near for English.
    static func probableTokenCount(of request: EmbeddingRequest, sequenceLimit: Int) -> Int {
        request.inputs.reduce(0) { $0 + min(sequenceLimit, byteCount(of: $1) / 4 + 1) }
    }

    mutating func append(_ request: EmbeddingRequest, id: RequestID, byteCount: Int, now: ContinuousClock.Instant) {
        jobs[id] = Job(request: request, byteCount: byteCount, arrival: now)
        self.byteCount += byteCount
        fresh.append(id)
    }

    /// A request whose only chunk the caller takes at once; nil where it is too large for that, and not appended.
    mutating func appendUnderWay(
        _ request: EmbeddingRequest, id: RequestID, byteCount: Int, now: ContinuousClock.Instant
    ) -> TokenizationChunk? {
        guard request.inputs.count <= Self.chunkInputs, byteCount <= Self.chunkBytes else { return nil }
        jobs[id] = Job(request: request, byteCount: byteCount, arrival: now)
        self.byteCount += byteCount
        return TokenizationChunk(
            request: id, firstIndex: 0, inputs: request.inputs, role: request.role, truncation: request.truncation,
            failurePolicy: request.failurePolicy)
    }

    /// Nil where no chunk waits; a request has at most one chunk under way.
    mutating func next() -> TokenizationChunk? {
        while let id = nextRequest() {
            guard let job = jobs[id] else { continue }
            let first = job.results.count
            var inputs: [EmbeddingInput] = []
            var bytes = 0
            for input in job.request.inputs[first...].prefix(Self.chunkInputs) {
                inputs.append(input)
                bytes += Self.byteCount(of: input)
                if bytes >= Self.chunkBytes { break }
            }
            return TokenizationChunk(
                request: id, firstIndex: first, inputs: inputs, role: job.request.role,
                truncation: job.request.truncation, failurePolicy: job.request.failurePolicy)
        }
        return nil
    }

    /// - Precondition: one result an input of the chunk.
    mutating func finish(
        _ chunk: TokenizationChunk, results: [Result<TokenSequence, EmbeddingError>]
    ) -> Progress {
        precondition(results.count == chunk.inputs.count)
        // Taken out, so that its results are appended to and not copied.
        guard var job = jobs.removeValue(forKey: chunk.request) else { return .gone }
        job.results += results
        guard job.results.count == job.request.inputs.count else {
            jobs[chunk.request] = job
            begun.append(chunk.request)
            return .unfinished
        }
        byteCount -= job.byteCount
        return .finished(job.results, began: job.arrival)
    }

    mutating func remove(_ id: RequestID) {
        if let job = jobs.removeValue(forKey: id) { byteCount -= job.byteCount }
    }

    private mutating func nextRequest() -> RequestID? {
        isTurnOfBegun.toggle()
        return isTurnOfBegun
            ? begun.popFirst() ?? fresh.popFirst()
            : fresh.popFirst() ?? begun.popFirst()
    }

    private static func byteCount(of input: EmbeddingInput) -> Int {
        switch input {
        case .text(let text): text.utf8.count
        case .tokens(let ids): ids.count * MemoryLayout<Int32>.stride
        }
    }
}

/// A queue whose front is cheap to take.
private struct FirstInFirstOut<Element> {
    private var elements: [Element] = []
    private var front = 0

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    mutating func popFirst() -> Element? {
        guard front < elements.count else { return nil }
        defer {
            front += 1
            if front * 2 >= elements.count {
                elements.removeFirst(front)
                front = 0
            }
        }
        return elements[front]
    }
}
