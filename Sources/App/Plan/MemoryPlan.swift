/// The memory that a process takes, part by part, computed from its model's sizes and its settings alone.
///
///     idle   what is there once it serves and nothing is asked of it
///     load   idle, with every queue, batch, body and connection filled to its limit
///     start  while the model is read: gone before the first request comes
///     peak   the greater of load and start
package struct MemoryPlan: Sendable, Equatable {
    /// One cause of memory.
    package struct Part: Sendable, Equatable {
        package enum Phase: String, Sendable {
            case idle
            case load
            case start
        }

        /// A stable word for programs.
        package let name: String
        package let phase: Phase
        package let byteCount: Int
        /// How the number comes about, for people.
        package let formula: String
    }

    package let parts: [Part]

    package init(_ knobs: MemoryKnobs, costs: MemoryCosts = MemoryCosts()) {
        let arithmetic = MemoryArithmetic(knobs: knobs, costs: costs)
        parts = arithmetic.idle + arithmetic.load + arithmetic.start
    }

    private func sum(_ phase: Part.Phase) -> Int {
        parts.reduce(0) { $0 + ($1.phase == phase ? $1.byteCount : 0) }
    }

    package var idleByteCount: Int { sum(.idle) }
    package var loadByteCount: Int { idleByteCount + sum(.load) }
    package var startByteCount: Int { sum(.start) }
    package var peakByteCount: Int { max(loadByteCount, startByteCount) }
}
