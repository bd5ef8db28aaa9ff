import App
import Embeddings
import Testing

struct MemoryGateTests {
    @Test func textsAreCountedInAndOut() {
        var gate = MemoryGateState(limit: 10)
        #expect(gate.enter(6, isMemoryShort: false) == .taken)
        #expect(gate.enter(4, isMemoryShort: false) == .taken)
        #expect(gate.enter(5, isMemoryShort: false) == .full(share: 0.5))
        gate.leave(6)
        #expect(gate.enter(6, isMemoryShort: false) == .taken)
    }

    @Test func aloneACallIsTakenWhateverItHolds() {
        var gate = MemoryGateState(limit: 10)
        #expect(gate.enter(1_000, isMemoryShort: true) == .taken)
        #expect(gate.enter(1, isMemoryShort: false) == .full(share: 0.991))
        gate.leave(1_000)
        #expect(gate.enter(1, isMemoryShort: false) == .taken)
    }

    @Test func shortMemoryRefusesUntilItIsAmple() {
        var gate = MemoryGateState(limit: 100)
        #expect(gate.enter(10, isMemoryShort: false) == .taken)
        #expect(gate.enter(5, isMemoryShort: true) == .full(share: 0.5))
        #expect(gate.enter(5, isMemoryShort: false) == .taken)
    }

    /// Refuses nothing, answers nothing.
    private struct NoEmbedder: Embedder {
        var model: ModelDescription {
            ModelDescription(
                name: "none", servedNames: ["none"], dimensions: 1, maximumSequenceLength: 1, vocabularySize: 1,
                precision: .fp32, fingerprint: ModelFingerprint(bytes: Array(repeating: 0, count: 32)))
        }

        var isReady: Bool { true }

        func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
            if request.lane == .bulk { throw .cancelled }
            return EmbeddingReport(results: [])
        }
    }

    @Test func theDoorOpensAgainWhateverBecameOfACall() async throws {
        let gate = MemoryGate(NoEmbedder(), textLimit: 2, pressure: MemoryPressure()) { _ in .seconds(9) }
        for lane in [Lane.interactive, .bulk, .interactive] {
            do throws(EmbeddingError) {
                _ = try await gate.embed(EmbeddingRequest(inputs: [.text("a"), .text("b")], lane: lane))
            } catch {
                #expect(error == .cancelled)
            }
        }
        #expect(gate.model.name == "none")
    }
}
