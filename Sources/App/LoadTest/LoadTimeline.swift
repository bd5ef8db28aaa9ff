/// A run second by second, warm-up and the wait for the last answers included.
package struct LoadTimeline: Sendable {
    package struct Second: Sendable {
        package var textCount = 0
        package var refusedCount = 0
        package var failedCount = 0
        package var latency = LogHistogram(.coarse)
    }

    /// By the moment at which requests ended, since the beginning.
    package private(set) var seconds: [Second] = []

    /// What ends later counts as if it had then.
    static let maximumSecondCount = 2 * 3_600

    package init() {}

    mutating func answered(at moment: Duration, textCount: Int, latency: Duration) {
        let place = place(moment)
        seconds[place].textCount += textCount
        seconds[place].latency.record(latency)
    }

    mutating func refused(at moment: Duration) { seconds[place(moment)].refusedCount += 1 }

    mutating func failed(at moment: Duration) { seconds[place(moment)].failedCount += 1 }

    private mutating func place(_ moment: Duration) -> Int {
        let place = min(Self.maximumSecondCount - 1, max(0, Int(moment.components.seconds)))
        while seconds.count <= place { seconds.append(Second()) }
        return place
    }
}
