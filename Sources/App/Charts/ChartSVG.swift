import Foundation

/// A chart as one SVG element: no scripts, nothing from elsewhere, light and dark by the reader's preference. Lines differ
/// by colour, mark and dash, and each mark names its line and values.
package struct ChartSVG {
    private let chart: Chart
    private let xAxis: ChartAxis
    private var elements: [String] = []
    private var y: Double = 0

    private static let width = 880.0
    private static let plot = (left: 88.0, right: 856.0, height: 220.0)
    private static let lineHeight = 18.0
    /// Of the 13-pixel system font, generously; nothing here can measure a text.
    private static let characterWidth = 7.2
    private static let legendNameLength = 48
    private static let noteLength = 118

    /// - Returns: the element as a text that is a whole `.svg` file, and may stand within HTML too.
    package static func text(of chart: Chart) -> String {
        var drawing = ChartSVG(chart)
        drawing.draw()
        return drawing.document()
    }

    private init(_ chart: Chart) {
        self.chart = chart
        xAxis = ChartAxis(
            scale: chart.xScale, values: chart.panels.flatMap(\.series).flatMap(\.points).map(\.x), includesZero: false)
    }

    private mutating func draw() {
        y = 34
        add(text: chart.title.shortened(to: 90), x: 24, y: y, style: "title")
        for note in chart.notes {
            y += Self.lineHeight
            add(text: note.shortened(to: Self.noteLength), x: 24, y: y, style: "note")
        }
        for panel in chart.panels { draw(panel) }
        y += 12
    }

    private mutating func draw(_ panel: Chart.Panel) {
        y += 38
        add(text: panel.title.shortened(to: 90), x: 24, y: y, style: "panel")
        drawLegend(panel)
        let top = y + 16
        let bottom = top + Self.plot.height
        let values = panel.series.flatMap(\.points).map(\.y)
        let yAxis = ChartAxis(scale: panel.yScale, values: values, includesZero: true)
        drawGrid(yAxis, top: top, bottom: bottom)
        add(
            text: panel.yLabel.shortened(to: 36), x: 20, y: (top + bottom) / 2, style: "label middle",
            rotation: -90)
        add(
            text: chart.xLabel.shortened(to: 90), x: (Self.plot.left + Self.plot.right) / 2, y: bottom + 38,
            style: "label middle")
        if values.isEmpty {
            add(
                text: "no data", x: (Self.plot.left + Self.plot.right) / 2, y: (top + bottom) / 2, style: "note middle")
        }
        for (place, series) in panel.series.enumerated() {
            let look = Self.look(series, at: place)
            let points = series.points.map { point in
                (
                    x: Self.plot.left + xAxis.position(of: point.x) * (Self.plot.right - Self.plot.left),
                    y: bottom - yAxis.position(of: point.y) * Self.plot.height
                )
            }
            if points.count > 1 {
                let path = points.map { "\(Self.length($0.x)),\(Self.length($0.y))" }.joined(separator: " ")
                elements.append("<polyline class=\"line \(Self.style(look))\" points=\"\(path)\"/>")
            }
            for (point, value) in zip(points, series.points) {
                let name = "\(series.name): \(ChartNumber.text(value.y)) at \(ChartNumber.text(value.x))"
                elements.append(Self.mark(look, x: point.x, y: point.y, name: name))
            }
        }
        y = bottom + 44
    }

    private mutating func drawGrid(_ yAxis: ChartAxis, top: Double, bottom: Double) {
        for tick in yAxis.ticks {
            let height = bottom - yAxis.position(of: tick) * Self.plot.height
            addLine(x1: Self.plot.left, y1: height, x2: Self.plot.right, y2: height, style: "grid")
            add(text: ChartNumber.text(tick), x: Self.plot.left - 8, y: height + 4, style: "tick end")
        }
        for tick in xAxis.ticks {
            let x = Self.plot.left + xAxis.position(of: tick) * (Self.plot.right - Self.plot.left)
            addLine(x1: x, y1: bottom, x2: x, y2: bottom + 5, style: "axis")
            add(text: ChartNumber.text(tick), x: x, y: bottom + 19, style: "tick middle")
        }
        addLine(x1: Self.plot.left, y1: bottom, x2: Self.plot.right, y2: bottom, style: "axis")
        addLine(x1: Self.plot.left, y1: top, x2: Self.plot.left, y2: bottom, style: "axis")
    }

    /// Names beside their marks, in as many rows as they need.
    private mutating func drawLegend(_ panel: Chart.Panel) {
        var x = Self.plot.left
        y += Self.lineHeight + 4
        for (place, series) in panel.series.enumerated() {
            let name = series.name.shortened(to: Self.legendNameLength) + (series.points.isEmpty ? " (no data)" : "")
            let width = 36 + Double(name.count) * Self.characterWidth + 16
            if x > Self.plot.left, x + width > Self.plot.right {
                x = Self.plot.left
                y += Self.lineHeight
            }
            let look = Self.look(series, at: place)
            elements.append(
                "<line class=\"line \(Self.style(look))\" x1=\"\(Self.length(x))\" y1=\"\(Self.length(y - 4))\" "
                    + "x2=\"\(Self.length(x + 28))\" y2=\"\(Self.length(y - 4))\"/>")
            elements.append(Self.mark(look, x: x + 14, y: y - 4, name: nil))
            add(text: name, x: x + 36, y: y, style: "label")
            x += width
        }
    }

    // MARK: Elements

    private mutating func add(text: String, x: Double, y: Double, style: String, rotation: Int? = nil) {
        let place = "x=\"\(Self.length(x))\" y=\"\(Self.length(y))\""
        let turn = rotation.map { " transform=\"rotate(\($0) \(Self.length(x)) \(Self.length(y)))\"" } ?? ""
        elements.append("<text class=\"\(style)\" \(place)\(turn)>\(text.escapedForMarkup)</text>")
    }

    private mutating func addLine(x1: Double, y1: Double, x2: Double, y2: Double, style: String) {
        elements.append(
            "<line class=\"\(style)\" x1=\"\(Self.length(x1))\" y1=\"\(Self.length(y1))\" "
                + "x2=\"\(Self.length(x2))\" y2=\"\(Self.length(y2))\"/>")
    }

    private static func mark(_ look: Chart.Look, x: Double, y: Double, name: String?) -> String {
        let title = name.map { "<title>\($0.escapedForMarkup)</title>" } ?? ""
        let style = "class=\"mark \(style(look))\""
        func polygon(_ corners: [(Double, Double)]) -> String {
            let points = corners.map { "\(length(x + $0.0)),\(length(y + $0.1))" }.joined(separator: " ")
            return "<polygon \(style) points=\"\(points)\">\(title)</polygon>"
        }
        switch look.colour % 4 {
        case 0: return "<circle \(style) cx=\"\(length(x))\" cy=\"\(length(y))\" r=\"4\">\(title)</circle>"
        case 1: return polygon([(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)])
        case 2: return polygon([(0, -5), (5, 0), (0, 5), (-5, 0)])
        default: return polygon([(0, -5), (4.5, 3.5), (-4.5, 3.5)])
        }
    }

    /// Eight colours; the second eight lines are broken ones, where they say nothing else.
    private static func look(_ series: Chart.Series, at place: Int) -> Chart.Look {
        series.look ?? Chart.Look(colour: place, isBroken: place >= ChartStyle.colours.count)
    }

    private static func style(_ look: Chart.Look) -> String {
        "c\(look.colour % ChartStyle.colours.count)" + (look.isBroken ? " broken" : "")
    }

    private static func length(_ value: Double) -> String { String(format: "%.1f", value) }

    // MARK: Document

    private func document() -> String {
        let size = "\(Int(Self.width)) \(Int(y.rounded(.up)))"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 \(size)" role="img" \
            aria-labelledby="chart-title chart-description">
            <title id="chart-title">\(chart.title.escapedForMarkup)</title>
            <desc id="chart-description">\(description.escapedForMarkup)</desc>
            <style>\(ChartStyle.sheet)</style>
            <rect class="paper" width="100%" height="100%"/>
            \(elements.joined(separator: "\n"))
            </svg>

            """
    }

    /// For those who cannot see the lines: where each begins and ends.
    private var description: String {
        var sentences = chart.notes
        for panel in chart.panels {
            sentences.append("\(panel.title): \(panel.yLabel) over \(chart.xLabel).")
            for series in panel.series {
                guard let first = series.points.first, let last = series.points.last else {
                    sentences.append("\(series.name): no data.")
                    continue
                }
                let start = "\(ChartNumber.text(first.y)) at \(ChartNumber.text(first.x))"
                let end = "\(ChartNumber.text(last.y)) at \(ChartNumber.text(last.x))"
                sentences.append(
                    series.points.count == 1 ? "\(series.name): \(start)." : "\(series.name): from \(start) to \(end).")
            }
        }
        return sentences.joined(separator: " ")
    }
}
