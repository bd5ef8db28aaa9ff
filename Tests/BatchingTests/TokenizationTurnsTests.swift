import Batching
import Embeddings
import Testing

struct TokenizationTurnsTests {
    private let largeText = EmbeddingInput.text(String(repeating: "x", count: 40_000))

    private func begin(_ inputs: [EmbeddingInput], _ id: UInt64, _ state: inout SchedulerState) {
        _ = state.begin(EmbeddingRequest(inputs: inputs), id: RequestID(id), now: .now)
    }

    private func next(_ state: inout SchedulerState) -> TokenizationChunk? {
        if case .tokenize(let chunk) = state.nextChunk(thread: 0) { chunk } else { nil }
    }

    private func finish(_ chunk: TokenizationChunk?, _ state: inout SchedulerState) -> SchedulerAction? {
        chunk.map { chunk in
            let sequences = chunk.inputs.indices.map { place in
                Result<TokenSequence, EmbeddingError>.success(
                    TokenSequence(ids: [Int32(chunk.request.number), Int32(chunk.firstIndex + place)]))
            }
            return state.chunkEnded(chunk, sequences, now: .now)
        }
    }

    private func makeState() -> SchedulerState {
        // Short requests are tokenized by their callers otherwise.
        var configuration = BatchingConfiguration()
        configuration.inlineTokenizationBytes = 0
        return SchedulerState(configuration: configuration, sequenceLimit: 256)
    }

    @Test func chunksAreSmallAndInOrder() {
        var state = makeState()
        begin(Array(repeating: largeText, count: 5), 1, &state)
        begin(Array(repeating: .text("short"), count: 300), 2, &state)
        var seen: [RequestID: [Int]] = [:]
        while let chunk = next(&state) {
            seen[chunk.request, default: []].append(chunk.firstIndex)
            _ = finish(chunk, &state)
        }
        #expect(seen[RequestID(1)] == [0, 2, 4])
        #expect(seen[RequestID(2)] == [0, 256])
        #expect(state.waitingCount == 305)
    }

    @Test func smallRequestPassesALargeOne() {
        var state = makeState()
        begin(Array(repeating: largeText, count: 100), 1, &state)
        let underWay = next(&state)
        begin([.text("hello")], 2, &state)
        // While its chunk is under way, the large request has no other.
        let small = next(&state)
        #expect(small?.request == RequestID(2))
        #expect(next(&state) == nil)
        #expect(finish(underWay, &state)?.answers.isEmpty == true)
        #expect(finish(small, &state)?.events.isEmpty == false)
        #expect(state.waitingCount == 1)
    }

    @Test func floodOfSmallRequestsDoesNotStopALargeOne() {
        var state = makeState()
        begin(Array(repeating: largeText, count: 20), 1, &state)
        var turnsOfLarge = 0
        for id in 2..<42 {
            begin([.text("hello")], UInt64(id), &state)
            let chunk = next(&state)
            if chunk?.request == RequestID(1) { turnsOfLarge += 1 }
            _ = finish(chunk, &state)
        }
        #expect(turnsOfLarge == 10)
    }

    @Test func cancelledRequestIsTokenizedNoFurther() {
        var state = makeState()
        begin([largeText, largeText, largeText], 1, &state)
        let chunk = next(&state)
        #expect(state.cancel(RequestID(1)).answers.count == 1)
        #expect(finish(chunk, &state)?.answers.isEmpty == true)
        #expect(next(&state) == nil)
        #expect(state.waitingCount == 0)
    }

    @Test func refusedInputEndsItsRequest() {
        var state = makeState()
        begin([largeText, largeText, largeText], 1, &state)
        guard let chunk = next(&state) else { return }
        let action = state.chunkEnded(chunk, [.failure(.inputTooLong(index: 1, limit: 256))], now: .now)
        #expect(action.answers.map(\.result) == [.failure(.inputTooLong(index: 1, limit: 256))])
        #expect(next(&state) == nil)
    }

    @Test func whatIsShortIsTokenizedByItsCaller() {
        var state = SchedulerState(configuration: BatchingConfiguration(), sequenceLimit: 256)
        begin([largeText], 1, &state)
        let action = state.begin(EmbeddingRequest(inputs: [.text("hello")]), id: RequestID(2), now: .now)
        #expect(action.inlineChunk?.inputs == [.text("hello")])
        #expect(action.tokenizerWakes.isEmpty)
        #expect(finish(action.inlineChunk, &state)?.answers.isEmpty == true)
        #expect(state.waitingCount == 1)
        // Only the large one waits for a tokenizer.
        #expect(next(&state)?.request == RequestID(1))
        #expect(next(&state) == nil)
    }
}
