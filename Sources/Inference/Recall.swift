import Synchronization

/// Calls a helper back from a gang, since there is other work for its thread.
package final class Recall: Sendable {
    private let flag = Atomic(false)

    package init() {}

    package var isSet: Bool { flag.load(ordering: .relaxed) }

    package func set() { flag.store(true, ordering: .relaxed) }

    package func clear() { flag.store(false, ordering: .relaxed) }
}
