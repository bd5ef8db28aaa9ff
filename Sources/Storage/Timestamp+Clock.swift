import Embeddings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension Timestamp {
    /// By this machine's clock.
    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microsecondsSinceUnixEpoch: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// Cut to microseconds.
    func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            microsecondsSinceUnixEpoch: microsecondsSinceUnixEpoch + seconds * 1_000_000
                + attoseconds / 1_000_000_000_000)
    }

    func duration(to later: Timestamp) -> Duration {
        .microseconds(later.microsecondsSinceUnixEpoch - microsecondsSinceUnixEpoch)
    }
}
