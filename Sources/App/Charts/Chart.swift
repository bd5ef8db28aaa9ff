/// Panels of lines over one x axis, one below the other; checked, so that whatever draws it need not be.
package struct Chart: Sendable, Equatable {
    package struct Point: Sendable, Equatable {
        package let x: Double
        package let y: Double

        package init(x: Double, y: Double) {
            self.x = x
            self.y = y
        }
    }

    /// One line. Without points it stands in the legend alone.
    package struct Series: Sendable, Equatable {
        package let name: String
        package let points: [Point]
        /// Nil: by its place in the panel, each line another.
        package let look: Look?

        /// - Parameter points: drawn in the order of x, whatever order they come in.
        package init(name: String, points: [Point], look: Look? = nil) {
            self.name = name
            self.points = points.sorted { $0.x < $1.x }
            self.look = look
        }
    }

    /// For lines that belong together: several figures of one run, or one run in several panels.
    package struct Look: Sendable, Equatable {
        /// Beyond the last colour the first comes round again.
        package let colour: Int
        package let isBroken: Bool

        /// - Precondition: the colour is not negative.
        package init(colour: Int, isBroken: Bool = false) {
            precondition(colour >= 0)
            self.colour = colour
            self.isBroken = isBroken
        }
    }

    package struct Panel: Sendable, Equatable {
        package let title: String
        /// What the y axis counts, with its unit.
        package let yLabel: String
        package let yScale: ChartScale
        package let series: [Series]

        package init(title: String, yLabel: String, yScale: ChartScale = .linear, series: [Series]) {
            self.title = title
            self.yLabel = yLabel
            self.yScale = yScale
            self.series = series
        }
    }

    package let title: String
    /// Lines below the title: what was measured, how, where.
    package let notes: [String]
    package let xLabel: String
    package let xScale: ChartScale
    package let panels: [Panel]

    /// Lines of one panel that can still be told apart: eight colours, full and broken.
    package static let maximumSeriesCount = 16
    package static let maximumPanelCount = 6
    /// Of one line.
    package static let maximumPointCount = 10_000

    package init(
        title: String, notes: [String] = [], xLabel: String, xScale: ChartScale, panels: [Panel]
    ) throws(ChartError) {
        guard (1...Self.maximumPanelCount).contains(panels.count) else {
            throw .tooMany("panels", panels.count, limit: Self.maximumPanelCount)
        }
        for panel in panels {
            guard panel.series.count <= Self.maximumSeriesCount else {
                throw .tooMany("lines", panel.series.count, limit: Self.maximumSeriesCount)
            }
            for series in panel.series { try Self.check(series, xScale: xScale, yScale: panel.yScale) }
        }
        self.title = title
        self.notes = notes
        self.xLabel = xLabel
        self.xScale = xScale
        self.panels = panels
    }

    private static func check(_ series: Series, xScale: ChartScale, yScale: ChartScale) throws(ChartError) {
        guard series.points.count <= maximumPointCount else {
            throw .tooMany("points of '\(series.name)'", series.points.count, limit: maximumPointCount)
        }
        for point in series.points {
            for (value, scale) in [(point.x, xScale), (point.y, yScale)] where !scale.takes(value) {
                throw .impossibleValue(series: series.name, value: value, scale: scale)
            }
        }
        for (left, right) in zip(series.points, series.points.dropFirst()) where left.x == right.x {
            throw .repeatedPlace(series: series.name, x: left.x)
        }
    }
}

/// How values become lengths.
package enum ChartScale: String, Sendable, Equatable {
    case linear
    /// Each doubling takes the same length; for values above zero.
    case log2

    /// Finite, of a magnitude that stays finite in an axis's arithmetic, and above zero where the scale wants it.
    func takes(_ value: Double) -> Bool {
        guard value.isFinite, value.magnitude <= 1e15 else { return false }
        switch self {
        case .linear: return true
        case .log2: return value >= 1e-15
        }
    }
}

package enum ChartError: Error, Equatable, CustomStringConvertible {
    /// Not a number, infinite, beyond 1e15, or not above zero on a logarithmic scale.
    case impossibleValue(series: String, value: Double, scale: ChartScale)
    /// A line has two values at one place.
    case repeatedPlace(series: String, x: Double)
    /// More, or fewer than one, of something.
    case tooMany(String, Int, limit: Int)

    package var description: String {
        switch self {
        case .impossibleValue(let series, let value, let scale):
            "the chart's line '\(series)' holds \(value), which has no place on a \(scale.rawValue) scale"
        case .repeatedPlace(let series, let x): "the chart's line '\(series)' has two values at \(x)"
        case .tooMany(let what, let count, let limit): "a chart takes 1 to \(limit) \(what), not \(count)"
        }
    }

    package static func == (left: ChartError, right: ChartError) -> Bool { left.description == right.description }
}
