extension Double {
    /// A duration in milliseconds.
    init(milliseconds duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = Double(seconds) * 1000 + Double(attoseconds) / 1e15
    }

    /// A duration in seconds.
    init(seconds duration: Duration) {
        self = Double(milliseconds: duration) / 1000
    }
}
