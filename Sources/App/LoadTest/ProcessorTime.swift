import Foundation

/// What this process has used of the processors.
enum ProcessorTime {
    /// Of all threads, in the program and in the kernel, since the start.
    static func used() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }
}
