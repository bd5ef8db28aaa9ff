import Synchronization

/// Whether the process is near its memory limit: then new work is refused until some of it is done. One flag, read by
/// every request, written by `MemoryWatch` alone.
package final class MemoryPressure: Sendable {
    private let flag = Atomic(false)

    package init() {}

    package var isHigh: Bool {
        get { flag.load(ordering: .relaxed) }
        set { flag.store(newValue, ordering: .relaxed) }
    }
}
