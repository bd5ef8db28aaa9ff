import Inference
import Synchronization

/// What belongs to one compute thread and is used by others, too. A thread that takes a lost one's place has its own.
final class ComputeStation: Sendable {
    let spot = ParkingSpot()
    /// Where others help with its passes.
    let gang: Gang
    /// Its call back from others' passes.
    let recall = Recall()
    private let made = ContinuousClock.now
    /// Nanoseconds from `made` to the last sign of life.
    private let beats = Atomic<Int64>(0)

    init(gangMemberLimit: Int) {
        gang = Gang(memberLimit: gangMemberLimit)
    }

    /// A sign of life.
    func beat() {
        beats.store(Int64(made.duration(to: .now) / .nanoseconds(1)), ordering: .relaxed)
    }

    var lastBeat: ContinuousClock.Instant { made.advanced(by: .nanoseconds(beats.load(ordering: .relaxed))) }
}
