import Embeddings

/// The way from a segment's inputs to their outcomes, through the embedder's bulk lane and past whatever other segments
/// of this process compute.
struct SegmentComputation: Sendable {
    /// All jobs are one client of the queue: between their owners the leases are fair, and a segment names no owner.
    private static let client = ClientID("jobs")

    let embedder: any Embedder
    let configuration: JobRunnerConfiguration
    let textsUnderWay: TextsUnderWay
    let metrics: JobMetrics
    let clock: RunnerClock

    /// Nil where the task was cancelled or the embedder stops: nothing is known of the inputs then. Texts stay marked as
    /// under way until `TextsUnderWay.end`.
    func outcomes(of inputs: [SegmentInput], in segment: LeasedSegment) async -> [InputOutcome]? {
        let plan = SegmentPlan(inputs, refersWithinJob: segment.collection == nil)
        // What a document's text is to the model, a text on its own need not be.
        let role: TextRole = segment.collection == nil ? .plain : .document
        let keys = plan.texts.map { TextsUnderWay.Key(role: role, text: $0) }
        var results = [TextResult?](repeating: nil, count: keys.count)
        var open = Array(keys.indices)
        while !open.isEmpty {
            let changes = textsUnderWay.changes.ringCount
            var own: [Int] = []
            for (place, share) in zip(open, textsUnderWay.take(open.map { keys[$0] }, for: segment.lease)) {
                switch share {
                case .own: own.append(place)
                case .other(.some(let result)): results[place] = TextResult(shared: result)
                case .other(nil): break
                }
            }
            // First one's own, so that no two segments wait for each other.
            if !own.isEmpty {
                guard let computed = await compute(own.map { keys[$0] }) else { return nil }
                for (place, result) in zip(own, computed) { results[place] = TextResult(computed: result) }
            }
            open.removeAll { results[$0] != nil }
            if !open.isEmpty, own.isEmpty { await textsUnderWay.changes.wait(after: changes) }
            if Task.isCancelled { return nil }
        }
        return plan.outcomes(results.compactMap { $0 })
    }

    /// One result a key; several calls are in the embedder at a time, as far as this worker's share of it goes.
    private func compute(_ keys: [TextsUnderWay.Key]) async -> [Result<Embedding, ItemError>]? {
        let share = configuration.maximumTokensInEmbedder / configuration.workerCount
        let batches = MicroBatches(
            keys.map(\.text), textLimit: configuration.textsPerCall, tokenLimit: share,
            sequenceLimit: embedder.model.maximumSequenceLength
        ).batches
        return await withTaskGroup(
            of: (MicroBatches.Batch, [Result<Embedding, ItemError>]?).self
        ) { group -> [Result<Embedding, ItemError>]? in
            var results = [Result<Embedding, ItemError>?](repeating: nil, count: keys.count)
            var next = 0
            var tokensInEmbedder = 0
            while true {
                while next < batches.count,
                    tokensInEmbedder == 0 || tokensInEmbedder + batches[next].tokenBound <= share
                {
                    let batch = batches[next]
                    next += 1
                    tokensInEmbedder += batch.tokenBound
                    group.addTask { (batch, await embed(batch.places.map { keys[$0] })) }
                }
                guard let (batch, embedded) = await group.next() else { break }
                guard let embedded else {
                    group.cancelAll()
                    return nil
                }
                tokensInEmbedder -= batch.tokenBound
                for (place, result) in zip(batch.places, embedded) { results[place] = result }
                textsUnderWay.publish(zip(batch.places, embedded).map { (keys[$0], $1) })
            }
            return results.compactMap { $0 }
        }
    }

    /// One call, and where it fails for the sake of a text, calls of its parts until the text is alone.
    private func embed(_ keys: [TextsUnderWay.Key]) async -> [Result<Embedding, ItemError>]? {
        guard let role = keys.first?.role else { return [] }
        var results = [Result<Embedding, ItemError>?](repeating: nil, count: keys.count)
        var parts = [keys.indices]
        while let part = parts.popLast() {
            if Task.isCancelled { return nil }
            do throws(EmbeddingError) {
                let request = EmbeddingRequest(
                    inputs: keys[part].map { .text($0.text) }, role: role, truncation: .end, lane: .bulk,
                    client: Self.client)
                let embeddings = try await embedder.embed(request)
                precondition(embeddings.count == part.count)
                for (place, embedding) in zip(part, embeddings) { results[place] = .success(embedding) }
            } catch {
                switch EmbeddingVerdict(error, textCount: part.count) {
                case .giveUp: return nil
                case .fail(let itemError): results[part.lowerBound] = .failure(itemError)
                case .split(let ranges):
                    metrics.countRetry(.split)
                    parts += ranges.reversed().map {
                        part.lowerBound + $0.lowerBound..<part.lowerBound + $0.upperBound
                    }
                case .wait(let duration):
                    metrics.countRetry(.overloaded)
                    parts.append(part)
                    let wait = duration * Double.random(in: 0.5...1)
                    // Cancelled: seen at the top of the loop.
                    try? await clock.sleep(clock.now().advanced(by: wait))
                }
            }
        }
        return results.compactMap { $0 }
    }
}

extension TextResult {
    fileprivate init(computed result: Result<Embedding, ItemError>) {
        switch result {
        case .success(let embedding): self = .computed(embedding)
        case .failure(let error): self = .failed(error)
        }
    }

    fileprivate init(shared result: Result<Embedding, ItemError>) {
        switch result {
        case .success(let embedding): self = .shared(embedding)
        case .failure(let error): self = .failed(error)
        }
    }
}
