import Synchronization

/// Asks a run to end before its time, from any thread.
package final class LoadStop: Sendable {
    // An atomic: raised once by whoever hears the signal, read by the run's event loop some ten times a second.
    private let isRaisedFlag = Atomic(false)

    package init() {}

    package func raise() { isRaisedFlag.store(true, ordering: .relaxed) }

    var isRaised: Bool { isRaisedFlag.load(ordering: .relaxed) }
}
