package import Embeddings
import Synchronization

/// The embedder behind a door: it lets in no more texts at a time than the memory plan counts on, and none while memory
/// is short. (The embedder itself bounds tokens, which are known only once a text has been read; a queue of one-word
/// texts is nearly all overhead.) A `Mutex` for one number; it decides in `MemoryGateState`.
package final class MemoryGate: Embedder {
    private let base: any Embedder
    private let pressure: MemoryPressure
    private let state: Mutex<MemoryGateState>
    private let timeToFree: @Sendable (_ share: Double) -> Duration

    /// - Parameters:
    ///   - textLimit: texts of all calls under way; a call alone is taken whatever it holds.
    ///   - timeToFree: how long a share of what is under way will take.
    package init(
        _ base: any Embedder, textLimit: Int, pressure: MemoryPressure,
        timeToFree: @escaping @Sendable (_ share: Double) -> Duration
    ) {
        self.base = base
        self.pressure = pressure
        self.timeToFree = timeToFree
        state = Mutex(MemoryGateState(limit: textLimit))
    }

    package var model: ModelDescription { base.model }
    package var isReady: Bool { base.isReady }

    package func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        let count = request.inputs.count
        switch state.withLock({ $0.enter(count, isMemoryShort: pressure.isHigh) }) {
        case .taken: break
        case .full(let share): throw .overloaded(retryAfter: timeToFree(share))
        }
        defer { state.withLock { $0.leave(count) } }
        return try await base.embedEach(request)
    }
}

/// Counts the texts behind the door.
package struct MemoryGateState: ~Copyable {
    package enum Answer: Equatable {
        case taken
        /// That share of what is inside has to leave first.
        case full(share: Double)
    }

    private let limit: Int
    private var count = 0

    package init(limit: Int) {
        precondition(limit >= 1)
        self.limit = limit
    }

    package mutating func enter(_ texts: Int, isMemoryShort: Bool) -> Answer {
        // Alone a call is taken, so that "later" is not "never".
        if count > 0 {
            let excess = count + texts - limit
            if excess > 0 { return .full(share: min(1, Double(excess) / Double(count))) }
            // What has been taken already is to make the room.
            if isMemoryShort { return .full(share: min(1, Double(texts) / Double(count))) }
        }
        count += texts
        return .taken
    }

    /// - Precondition: so many were taken.
    package mutating func leave(_ texts: Int) {
        precondition(texts <= count)
        count -= texts
    }
}
