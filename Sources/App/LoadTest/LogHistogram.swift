/// Counts values in logarithmic steps, at bounded memory however many there are.
///
/// A quantile read from it is never below the exact one, and above it by less than one step: 1/128 of the value, or 1/16
/// where it is made coarse.
package struct LogHistogram: Sendable, Equatable {
    package enum Resolution: Int, Sendable {
        case fine = 7
        case coarse = 4
    }

    /// Steps of one doubling, as a power of two.
    private let bits: Int
    /// By step; as long as the greatest value needs.
    private var counts: [UInt32] = []
    package private(set) var count = 0
    /// Exact; 0 where nothing was recorded.
    package private(set) var maximum: UInt64 = 0
    private var sum = 0.0

    package init(_ resolution: Resolution = .fine) {
        bits = resolution.rawValue
    }

    package mutating func record(_ value: UInt64) {
        let step = step(of: value)
        if step >= counts.count {
            counts += [UInt32](repeating: 0, count: max(step + 1, counts.count * 2) - counts.count)
        }
        counts[step] &+= 1
        count += 1
        sum += Double(value)
        maximum = max(maximum, value)
    }

    /// The least value that at least this share of all values do not exceed; nil where there is none.
    ///
    /// - Precondition: the share is within 0 to 1.
    package func quantile(_ share: Double) -> UInt64? {
        precondition((0...1).contains(share))
        guard count > 0 else { return nil }
        // A hair less, lest rounding in the product asks for one value more: 0.9 of 10 values are 9 of them.
        let rank = max(1, Int((share * Double(count) - 1e-9).rounded(.up)))
        var seen = 0
        for (step, stepCount) in counts.enumerated() {
            seen += Int(stepCount)
            if seen >= rank { return min(greatestValue(of: step), maximum) }
        }
        return maximum
    }

    package var mean: Double? { count == 0 ? nil : sum / Double(count) }

    /// - Precondition: both are of one resolution.
    package mutating func merge(_ other: LogHistogram) {
        precondition(bits == other.bits)
        if other.counts.count > counts.count {
            counts += [UInt32](repeating: 0, count: other.counts.count - counts.count)
        }
        for (step, stepCount) in other.counts.enumerated() { counts[step] &+= stepCount }
        count += other.count
        sum += other.sum
        maximum = max(maximum, other.maximum)
    }

    // Values up to two doublings' worth of steps stand each for itself; above, the topmost bits behind the leading one
    // name the step within a doubling.

    private func step(of value: UInt64) -> Int {
        let shift = max(0, 63 - bits - value.leadingZeroBitCount)
        return shift << bits + Int(value >> UInt64(shift))
    }

    private func greatestValue(of step: Int) -> UInt64 {
        let shift = max(0, step >> bits - 1)
        let start = UInt64(step - shift << bits)
        return start << UInt64(shift) + (1 << UInt64(shift) - 1)
    }
}

// MARK: Times

extension LogHistogram {
    /// In nanoseconds; a time below zero counts as none.
    package mutating func record(_ time: Duration) {
        let (seconds, attoseconds) = time.components
        record(
            seconds < 0 || attoseconds < 0 ? 0 : UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000))
    }

    package func milliseconds(_ share: Double) -> Double? { quantile(share).map { Double($0) / 1e6 } }

    package var greatestMilliseconds: Double? { count == 0 ? nil : Double(maximum) / 1e6 }
}
