/// Where the time of passes goes. One thread's own: passes that are measured have no helpers.
package final class StageClock {
    package enum Stage: Int, Sendable, CaseIterable {
        case embed
        case qkv
        case attention
        case attentionOutput
        /// Both layers and what stands between them.
        case feedForward
        case norm
        case pool
    }

    private var durations = [Duration](repeating: .zero, count: Stage.allCases.count)
    private var start = ContinuousClock.now

    package init() {}

    package func duration(of stage: Stage) -> Duration { durations[stage.rawValue] }

    /// The time since the last call, or `begin`, went to that stage.
    func end(_ stage: Stage) {
        let now = ContinuousClock.now
        durations[stage.rawValue] += now - start
        start = now
    }

    func begin() {
        start = .now
    }
}
