import Foundation

/// An axis's span and its ticks: round numbers that enclose what is drawn.
package struct ChartAxis: Sendable, Equatable {
    package let scale: ChartScale
    /// Where the axis begins and ends; never one and the same.
    package let range: ClosedRange<Double>
    /// In ascending order, all within the range.
    package let ticks: [Double]

    /// - Parameters:
    ///   - values: of all lines; none gives an axis from 0 to 1, or from 1 to 2.
    ///   - includesZero: a linear axis begins at zero where no value is below; lengths then compare as the values do.
    /// - Precondition: the scale takes the values.
    package init(scale: ChartScale, values: [Double], includesZero: Bool) {
        precondition(values.allSatisfy(scale.takes))
        self.scale = scale
        let (least, greatest) = (values.min() ?? (scale == .log2 ? 1 : 0), values.max() ?? (scale == .log2 ? 2 : 1))
        switch scale {
        case .linear: (range, ticks) = Self.linear(least, greatest, includesZero: includesZero)
        case .log2: (range, ticks) = Self.logarithmic(least, greatest)
        }
    }

    /// Where a value stands: 0 at the range's start, 1 at its end.
    package func position(of value: Double) -> Double {
        switch scale {
        case .linear: (value - range.lowerBound) / (range.upperBound - range.lowerBound)
        case .log2:
            (Foundation.log2(value) - Foundation.log2(range.lowerBound))
                / (Foundation.log2(range.upperBound) - Foundation.log2(range.lowerBound))
        }
    }

    private static let intendedStepCount = 5.0
    private static let maximumLogTickCount = 12

    private static func linear(
        _ least: Double, _ greatest: Double, includesZero: Bool
    ) -> (ClosedRange<Double>, [Double]) {
        var (low, high) = (least, greatest)
        if includesZero {
            low = min(0, low)
            high = max(0, high)
        }
        // All values alike leave no span; the axis reaches as far as the value is large.
        if high - low <= max(high.magnitude, low.magnitude) * 1e-9 {
            let reach = low == 0 ? 1 : low.magnitude / 2
            if !(includesZero && low >= 0) { low -= reach }
            high += reach
        }
        let step = roundStep((high - low) / intendedStepCount)
        let (first, last) = ((low / step).rounded(.down), (high / step).rounded(.up))
        let ticks = stride(from: first, through: last, by: 1).map { $0 * step }
        return (first * step...last * step, ticks)
    }

    /// The least of 1, 2 and 5 times a power of ten that is not below.
    private static func roundStep(_ step: Double) -> Double {
        let power = pow(10, Foundation.log10(step).rounded(.down))
        let factor = [1.0, 2, 5].first { $0 * power >= step * (1 - 1e-9) } ?? 10
        return factor * power
    }

    private static func logarithmic(_ least: Double, _ greatest: Double) -> (ClosedRange<Double>, [Double]) {
        // A hair of tolerance keeps rounding in the logarithm from adding a whole doubling.
        let first = (Foundation.log2(least) + 1e-9).rounded(.down)
        var last = (Foundation.log2(greatest) - 1e-9).rounded(.up)
        if last <= first { last = first + 1 }
        let step = ((last - first) / Double(maximumLogTickCount - 1)).rounded(.up)
        last = first + ((last - first) / step).rounded(.up) * step
        let ticks = stride(from: first, through: last, by: step).map { exp2($0) }
        return (exp2(first)...exp2(last), ticks)
    }
}

/// Numbers as a chart writes them: thousands parted by commas, as few decimals as tell them apart, in every locale.
package enum ChartNumber {
    /// Four significant digits; whole numbers in full.
    package static func text(_ value: Double) -> String {
        guard value.isFinite else { return "\(value)" }
        if value == value.rounded(), value.magnitude < 1e15 { return grouped(String(format: "%.0f", value)) }
        let magnitude = Int(Foundation.log10(value.magnitude).rounded(.down))
        guard magnitude >= -6 else { return String(format: "%.3g", value) }
        return trimmed(grouped(String(format: "%.\(min(9, max(0, 3 - magnitude)))f", value)))
    }

    private static func trimmed(_ text: String) -> String {
        guard text.contains(".") else { return text }
        var digits = Substring(text)
        while digits.hasSuffix("0") { digits.removeLast() }
        if digits.hasSuffix(".") { digits.removeLast() }
        return String(digits)
    }

    private static func grouped(_ text: String) -> String {
        let isNegative = text.hasPrefix("-")
        let unsigned = isNegative ? text.dropFirst() : Substring(text)
        let whole = unsigned.prefix { $0 != "." }
        var result = isNegative && unsigned.contains { $0 != "0" && $0 != "." } ? "-" : ""
        for (place, digit) in whole.enumerated() {
            if place > 0, (whole.count - place).isMultiple(of: 3) { result.append(",") }
            result.append(digit)
        }
        return result + unsigned.dropFirst(whole.count)
    }
}
