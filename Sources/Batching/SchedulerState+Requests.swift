package import Embeddings

// How requests come in and leave.
extension SchedulerState {
    /// A new call. Refuses at once only what is certain before the tokens are counted.
    ///
    /// - Precondition: the id is new; the request has an input.
    package mutating func begin(
        _ request: EmbeddingRequest, id: RequestID, now: ContinuousClock.Instant
    ) -> SchedulerAction {
        precondition(requests[id] == nil && !request.inputs.isEmpty)
        let bytes = TokenizationQueue.byteCount(of: request)
        if let refusal = earlyRefusal(of: request, byteCount: bytes, now: now) {
            return refused(id, refusal)
        }
        requests[id] = RequestRecord(request, now: now)
        if bytes <= configuration.inlineTokenizationBytes,
            let chunk = tokenization.appendUnderWay(request, id: id, byteCount: bytes, now: now)
        {
            return SchedulerAction(inlineChunk: chunk)
        }
        tokenization.append(request, id: id, byteCount: bytes, now: now)
        return SchedulerAction(tokenizerWakes: wakeTokenizer())
    }

    /// The caller is gone. Unknown and answered ids are ignored.
    package mutating func cancel(_ id: RequestID) -> SchedulerAction {
        end(id, with: .cancelled)
    }

    /// The request's deadline is over. Unknown and answered ids are ignored.
    package mutating func expire(_ id: RequestID) -> SchedulerAction {
        end(id, with: .deadlineExceeded)
    }

    package mutating func beginShutdown() -> SchedulerAction {
        guard phase == .open else { return SchedulerAction() }
        phase = .draining
        // First come, first served waits to fill its batches no longer.
        var action = SchedulerAction(computeWakes: parkedComputeThreads)
        parkedComputeThreads = []
        action.isDrained = isDrained
        return action
    }

    package mutating func stop() -> SchedulerAction {
        phase = .stopped
        var action = SchedulerAction()
        for id in requests.keys.sorted(by: { $0.number < $1.number }) {
            action.merge(end(id, with: .shuttingDown))
        }
        retries = []
        action.computeWakes = parkedComputeThreads
        action.recalls = gangs.callBack(configuration.computeThreadCount)
        action.tokenizerWakes = parkedTokenizers
        parkedComputeThreads = []
        parkedTokenizers = []
        action.isDrained = isDrained
        return action
    }

    // MARK: Tokenizer threads

    package mutating func nextChunk(thread: Int) -> TokenizerStep {
        parkedTokenizers.removeAll { $0 == thread }
        if phase == .stopped { return .exit }
        if let chunk = tokenization.next() { return .tokenize(chunk) }
        parkedTokenizers.append(thread)
        return .park
    }

    /// The last chunk of a request decides: it is admitted whole, or refused whole.
    ///
    /// - Parameter results: one an input of the chunk. Where an input fails its whole request, those after it may be
    ///   missing.
    package mutating func chunkEnded(
        _ chunk: TokenizationChunk, _ results: [Result<TokenSequence, EmbeddingError>], now: ContinuousClock.Instant
    ) -> SchedulerAction {
        guard let record = requests[chunk.request] else { return SchedulerAction() }
        if record.failurePolicy == .request {
            for case .failure(let error) in results { return end(chunk.request, with: error) }
        }
        switch tokenization.finish(chunk, results: results) {
        case .gone, .unfinished: return SchedulerAction()
        case .finished(let results, let began):
            var action = admit(results, of: chunk.request, now: now)
            action.events.append(.tokenized(elapsed: began.duration(to: now)))
            return action
        }
    }

    // MARK: Private

    private mutating func earlyRefusal(
        of request: EmbeddingRequest, byteCount: Int, now: ContinuousClock.Instant
    ) -> EmbeddingError? {
        guard phase == .open else { return .shuttingDown }
        if let deadline = request.deadline, deadline <= now { return .deadlineExceeded }
        // Every text has at least one token, and none more than the limit: a request that surely can be taken later but
        // surely not now is not worth its tokenization.
        if request.inputs.count * sequenceLimit <= budget.limit,
            budget.shortfall(of: request.client, taking: request.inputs.count) != nil
        {
            let probable = TokenizationQueue.probableTokenCount(of: request, sequenceLimit: sequenceLimit)
            let shortfall = budget.shortfall(of: request.client, taking: max(request.inputs.count, probable))
            return overloaded(for: throughput.time(for: shortfall ?? 1), tokenCount: probable, now: now)
        }
        if let wait = excessiveWait(of: request.client, in: request.lane) {
            let probable = TokenizationQueue.probableTokenCount(of: request, sequenceLimit: sequenceLimit)
            return overloaded(for: wait, tokenCount: probable, now: now)
        }
        // Alone, a request is taken whatever its size, so that "later" is not "never".
        if !tokenization.isEmpty, tokenization.byteCount + byteCount > configuration.maximumTokenizingBytes {
            return .overloaded(retryAfter: .seconds(1))
        }
        return nil
    }

    /// How much longer than allowed a client's next text would wait for what others, and it, already wait for.
    private func excessiveWait(of client: ClientID, in lane: Lane) -> Duration? {
        guard let limit = configuration.maximumQueueWait, !waiting.isEmpty else { return nil }
        let wait = forecast(of: client, in: lane, adding: 0).wait
        return wait > limit ? wait - limit : nil
    }

    /// Those who are refused together are told to come back one after the other, as there will be room, or they would
    /// come together again and use up their tries.
    private mutating func overloaded(
        for wait: Duration, tokenCount: Int, now: ContinuousClock.Instant
    ) -> EmbeddingError {
        let turn = max(now.advanced(by: retryTime(wait)), nextReturn ?? now)
        nextReturn = min(turn.advanced(by: throughput.time(for: tokenCount)), now.advanced(by: .seconds(120)))
        return .overloaded(retryAfter: now.duration(to: turn))
    }

    /// No longer than clients heed, and no shorter than a pass.
    private func retryTime(_ wait: Duration) -> Duration {
        min(max(wait, .milliseconds(50)), .seconds(120))
    }

    /// From now to the answer of so many more tokens.
    private func forecast(of client: ClientID, in lane: Lane, adding tokenCount: Int) -> QueueForecast {
        let ahead = waiting.tokensAhead(of: client, in: lane, adding: tokenCount)
        // Passes under way are, on average, half done.
        return (forecasters[lane] ?? QueueForecaster()).forecast(ahead + running.tokenCount / 2, by: throughput)
    }

    /// Of a request whose texts were tokenized; those that wait or run already are others' work.
    private func forecast(
        of record: RequestRecord, for results: [Result<TokenSequence, EmbeddingError>], now: ContinuousClock.Instant
    ) -> QueueForecast {
        var newTokenCount = 0
        var othersDue = now
        for case .success(let sequence) in results {
            if configuration.mode == .continuous, let (_, place, due) = window.find(sequence),
                !Self.changesLane(place, to: record.lane)
            {
                othersDue = max(othersDue, due)
            } else {
                newTokenCount += sequence.ids.count
            }
        }
        let own =
            newTokenCount > 0
            ? forecast(of: record.client, in: record.lane, adding: newTokenCount)
            : QueueForecast(
                tokensAhead: 0, completedTokens: throughput.completedTokens,
                wait: throughput.time(for: running.tokenCount / 2))
        return own.waiting(atLeast: now.duration(to: othersDue))
    }

    /// Whether a text that waits moves to the lane of a request that joins it: of whoever has less time.
    private static func changesLane(_ place: TextWindow.Place, to lane: Lane) -> Bool {
        if case .waiting(.bulk) = place { lane == .interactive } else { false }
    }

    private mutating func admit(
        _ results: [Result<TokenSequence, EmbeddingError>], of id: RequestID, now: ContinuousClock.Instant
    ) -> SchedulerAction {
        guard var record = requests[id] else { return SchedulerAction() }
        var tokenCount = 0
        for case .success(let sequence) in results { tokenCount += sequence.ids.count }
        let forecast = forecast(of: record, for: results, now: now)
        if let refusal = refusal(of: record, tokenCount: tokenCount, forecast: forecast, now: now) {
            return end(id, with: refusal)
        }
        record.forecast = forecast
        let due = now.advanced(by: forecast.wait)
        budget.take(tokenCount, for: record.client)
        record.beginRows(results.count, now: now)
        var admitted = BatchingEvent.Admission(lane: record.lane, tokenCount: tokenCount)
        for (index, result) in results.enumerated() {
            switch result {
            case .failure(let error): record.appendFailed(error)
            case .success(let sequence):
                let (order, isNew) = enqueue(
                    sequence, .init(request: id, index: index), of: record, due: due, now: now)
                record.appendOpen(sequence, order: order)
                admitted.sequenceCount += 1
                if !isNew { admitted.sharedCount += 1 }
                if sequence.isTruncated { admitted.truncatedCount += 1 }
            }
        }
        requests[id] = record
        guard !record.isDone else {
            requests[id] = nil
            return SchedulerAction(
                answers: [.init(request: id, result: .success(record.report(lastPass: nil, now: now)))])
        }
        var action = findThreads(admitted.sequenceCount - admitted.sharedCount)
        action.events = [.admitted(admitted)]
        return action
    }

    private mutating func refusal(
        of record: RequestRecord, tokenCount: Int, forecast: QueueForecast, now: ContinuousClock.Instant
    ) -> EmbeddingError? {
        if tokenCount > budget.limit { return .requestTooLarge(tokenCount: tokenCount, limit: budget.limit) }
        if let shortfall = budget.shortfall(of: record.client, taking: tokenCount) {
            return overloaded(for: throughput.time(for: shortfall), tokenCount: tokenCount, now: now)
        }
        // Where nothing else is to be done the forecast is not asked: what is refused teaches it nothing.
        if let deadline = record.deadline, !waiting.isEmpty || !running.isEmpty {
            let left = now.duration(to: deadline)
            if forecast.wait > left { return .deadlineUnreachable(retryAfter: retryTime(forecast.wait - left)) }
        }
        return nil
    }

    /// A text that waits or runs already is joined; a bulk one that waits moves to the lane of whoever has less time.
    private mutating func enqueue(
        _ sequence: TokenSequence, _ subscriber: TextWindow.Subscriber, of record: RequestRecord,
        due: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) -> (order: UInt64, isNew: Bool) {
        func entry(_ order: UInt64) -> QueueEntry {
            QueueEntry(
                request: subscriber.request, index: subscriber.index, sequence: sequence, lane: record.lane,
                client: record.client, arrival: now, due: due, order: order)
        }
        if configuration.mode == .continuous, let (order, place, _) = window.find(sequence) {
            window.join(order, subscriber)
            if Self.changesLane(place, to: record.lane) {
                _ = waiting.remove(order, in: .bulk)
                window.move(order, to: .waiting(.interactive), due: due)
                waiting.append(entry(order))
            }
            return (order, false)
        }
        let order = window.insert(sequence, in: record.lane, due: due, for: subscriber)
        waiting.append(entry(order))
        return (order, true)
    }

    private mutating func wakeTokenizer() -> [Int] {
        parkedTokenizers.popLast().map { [$0] } ?? []
    }
}
