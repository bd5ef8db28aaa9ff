import CAllocator

/// What the C library's allocator is told, where it is glibc's; elsewhere nothing.
enum Allocator {
    /// Blocks of that size and more are mapped one by one, and go back to the system the moment they are freed. Left to
    /// itself, glibc raises the bound with every such block up to 32 MiB, and then keeps what a few large bodies took.
    private static let mappedByteCount = 256 << 10

    /// Before the threads that work: glibc gives every thread an arena of its own, eight for each core, and what one of them
    /// has freed is of no use to the others.
    ///
    /// - Parameter arenaCount: arenas at most.
    static func prepare(arenaCount: Int) {
        // Not to be told anything is no failure: the memory that is used is the same, only less comes back.
        _ = ovenbird_limit_arenas(Int32(clamping: max(1, arenaCount)), Int32(mappedByteCount))
    }

    /// Gives back what is free to the system. Some milliseconds, for which other threads may wait.
    static func trim() {
        _ = ovenbird_give_back_memory()
    }
}
