import App
import ArgumentParser
import Foundation
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

struct ChartTests {
    private static let line = Chart.Series(
        name: "a", points: [.init(x: 1, y: 10), .init(x: 2, y: 30), .init(x: 4, y: 20)])

    private static func chart(
        _ series: [Chart.Series], title: String = "Title", notes: [String] = [], xScale: ChartScale = .log2
    ) throws -> Chart {
        try Chart(
            title: title, notes: notes, xLabel: "clients", xScale: xScale,
            panels: [.init(title: "Throughput", yLabel: "texts/s", series: series)])
    }

    /// What an XML parser says of a text; nil where it is well-formed.
    private static func complaint(_ text: String) -> String? {
        let parser = XMLParser(data: Data(text.utf8))
        return parser.parse() ? nil : "\(parser.parserError?.localizedDescription ?? "?") in line \(parser.lineNumber)"
    }

    private static func count(_ part: String, in text: String) -> Int { text.components(separatedBy: part).count - 1 }

    @Test func aDrawingIsWellFormedAndNeedsNothingElse() throws {
        let text = ChartSVG.text(of: try Self.chart([Self.line], notes: ["note"]))
        #expect(Self.complaint(text) == nil)
        #expect(text.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\""))
        for foreign in ["href", "url(", "@import", "<script", "<image", "<foreignObject"] {
            #expect(!text.contains(foreign), "\(foreign)")
        }
        #expect(Self.count("http", in: text) == 1)
        #expect(text.contains("prefers-color-scheme: dark"))
    }

    @Test func aDrawingTellsItsNameAndItsLinesToThoseWhoDoNotSeeIt() throws {
        let text = ChartSVG.text(of: try Self.chart([Self.line], notes: ["two threads"]))
        #expect(text.contains("role=\"img\" aria-labelledby=\"chart-title chart-description\""))
        #expect(text.contains("<title id=\"chart-title\">Title</title>"))
        #expect(text.contains("two threads Throughput: texts/s over clients. a: from 10 at 1 to 20 at 4.</desc>"))
        #expect(text.contains("<title>a: 30 at 2</title>"))
        for label in ["clients", "texts/s", "Throughput", "two threads"] { #expect(text.contains(">\(label)</text>")) }
    }

    @Test func pointsStandWhereTheirAxesPutThem() throws {
        // x doubles twice over 88...856; y ends at 30, and the plot is 220 high.
        let text = ChartSVG.text(of: try Self.chart([Self.line]))
        let points = try #require(text.firstMatch(of: /points="([0-9., ]+)"\/>/)?.1).split(separator: " ")
        let places = points.map { $0.split(separator: ",").compactMap { Double($0) } }
        #expect(places.map { $0[0] } == [88, 472, 856])
        #expect(abs((places[0][1] - places[1][1]) - 20.0 / 30 * 220) < 0.2)
        #expect(abs((places[2][1] - places[1][1]) - 10.0 / 30 * 220) < 0.2)
    }

    @Test func namesCannotBecomeMarkup() throws {
        let hostile = "</text><script>alert('1')</script>&\"\u{1}\u{FFFF}"
        let chart = try Chart(
            title: hostile, notes: [hostile], xLabel: hostile, xScale: .linear,
            panels: [.init(title: hostile, yLabel: hostile, series: [.init(name: hostile, points: Self.line.points)])])
        let text = ChartSVG.text(of: chart)
        #expect(Self.complaint(text) == nil)
        for text in [text, ChartPage.text(of: chart)] {
            #expect(!text.contains("<script") && !text.contains("\u{1}") && !text.contains("\u{FFFF}"))
            #expect(text.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{FFFD}\u{FFFD}"))
        }
    }

    @Test func linesWithoutLengthAreStillDrawn() throws {
        let empty = Chart.Series(name: "none", points: [])
        let lone = Chart.Series(name: "lone", points: [.init(x: 3, y: 5)])
        let both = ChartSVG.text(of: try Self.chart([empty, lone]))
        #expect(Self.complaint(both) == nil)
        #expect(!both.contains("<polyline"))
        #expect(both.contains("none (no data)") && both.contains("<title>lone: 5 at 3</title>"))
        #expect(both.contains("none: no data. lone: 5 at 3."))
        let nothing = ChartSVG.text(of: try Self.chart([empty]))
        #expect(Self.complaint(nothing) == nil && nothing.contains(">no data</text>"))
        #expect(!(both + nothing).contains("nan") && !(both + nothing).contains("inf"))
        #expect(Self.complaint(ChartSVG.text(of: try Self.chart([]))) == nil)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, 1e16])
    func valuesWithoutAPlaceAreRefused(value: Double) {
        let asY = Chart.Series(name: "bad", points: [.init(x: 1, y: value)])
        let asX = Chart.Series(name: "bad", points: [.init(x: value, y: 1)])
        for series in [asY, asX] {
            let error = #expect(throws: ChartError.self) { try Self.chart([Self.line, series], xScale: .linear) }
            #expect(error?.description.contains("'bad'") == true)
        }
    }

    @Test(arguments: [0.0, -1])
    func doublingScalesTakeValuesAboveZeroOnly(x: Double) throws {
        let series = Chart.Series(name: "bad", points: [.init(x: x, y: 1)])
        #expect(throws: ChartError.impossibleValue(series: "bad", value: x, scale: .log2)) { try Self.chart([series]) }
        _ = try Self.chart([series], xScale: .linear)
    }

    @Test func whatIsTooMuchOrDoubledIsRefused() {
        #expect(throws: ChartError.tooMany("panels", 0, limit: 6)) {
            try Chart(title: "", xLabel: "", xScale: .linear, panels: [])
        }
        #expect(throws: ChartError.tooMany("lines", 17, limit: 16)) {
            try Self.chart((0..<17).map { .init(name: "\($0)", points: []) })
        }
        #expect(throws: ChartError.tooMany("points of 'a'", 10_001, limit: 10_000)) {
            try Self.chart([.init(name: "a", points: (1...10_001).map { .init(x: Double($0), y: 0) })])
        }
        #expect(throws: ChartError.repeatedPlace(series: "a", x: 2)) {
            try Self.chart([.init(name: "a", points: [.init(x: 2, y: 1), .init(x: 1, y: 1), .init(x: 2, y: 3)])])
        }
    }

    @Test func sixteenLinesDifferInColourOrDash() throws {
        let text = ChartSVG.text(
            of: try Self.chart((0..<16).map { .init(name: "\($0)", points: [.init(x: 1, y: 1), .init(x: 2, y: 2)]) }))
        let styles = text.matches(of: /<polyline class="line (.*?)"/).map { String($0.1) }
        #expect(styles.count == 16 && Set(styles).count == 16)
    }

    @Test func aLineLooksAsItIsTold() throws {
        let points = [Chart.Point(x: 1, y: 1), Chart.Point(x: 2, y: 2)]
        let text = ChartSVG.text(
            of: try Self.chart([
                .init(name: "a", points: points, look: .init(colour: 2)),
                .init(name: "b", points: points, look: .init(colour: 10, isBroken: true)),
                .init(name: "c", points: points),
            ]))
        let styles = text.matches(of: /<polyline class="line (.*?)"/).map { String($0.1) }
        #expect(styles == ["c2", "c2 broken", "c2"])
        // Its mark in the plot and that in the legend are of its colour, too.
        #expect(Self.count("class=\"mark c2 broken\"", in: text) == 3)
    }

    @Test func everyPanelHasItsOwnPlot() throws {
        let panels = (1...3).map { Chart.Panel(title: "panel \($0)", yLabel: "unit \($0)", series: [Self.line]) }
        let one = ChartSVG.text(of: try Chart(title: "t", xLabel: "x", xScale: .linear, panels: [panels[0]]))
        let three = ChartSVG.text(of: try Chart(title: "t", xLabel: "x", xScale: .linear, panels: panels))
        func height(_ text: String) -> Int? { text.firstMatch(of: /viewBox="0 0 880 (\d+)"/).flatMap { Int($0.1) } }
        let heights = (one: try #require(height(one)), three: try #require(height(three)))
        #expect(heights.three > 2 * heights.one)
        #expect(Self.count("<polyline", in: three) == 3)
    }

    @Test func aPageCarriesTheDrawingAndItsNumbers() throws {
        let other = Chart.Series(name: "b", points: [.init(x: 2, y: 1_234.5), .init(x: 8, y: 7)])
        let chart = try Self.chart([Self.line, other], notes: ["note"])
        let page = ChartPage.text(of: chart)
        #expect(page.hasPrefix("<!doctype html>\n<html lang=\"en\">"))
        #expect(page.contains(ChartSVG.text(of: chart)))
        #expect(
            page.contains("<tr><th scope=\"col\">clients</th><th scope=\"col\">a</th><th scope=\"col\">b</th></tr>"))
        #expect(page.contains("<tr><th scope=\"row\">1</th><td>10</td><td>–</td></tr>"))
        #expect(page.contains("<tr><th scope=\"row\">2</th><td>30</td><td>1,234</td></tr>"))
        #expect(page.contains("<tr><th scope=\"row\">8</th><td>–</td><td>7</td></tr>"))
        #expect(page.contains("default-src 'none'") && !page.contains("<script"))
    }

    @Test(arguments: [("a.svg", ChartFile.Format.svg), ("d.x/b.HTML", .html)])
    func theSuffixChoosesTheFormat(path: String, format: ChartFile.Format) throws {
        let file = try ChartFile(path: path)
        #expect(file.format == format && file.path == path)
    }

    @Test(arguments: ["a.png", "svg", "a.svg/b", "a.svg.", "", "-"])
    func otherSuffixesAreRefused(path: String) {
        let error = #expect(throws: ValidationError.self) { try ChartFile(path: path) }
        #expect(error?.message.contains(".svg or .html") == true)
    }

    @Test func aFileHoldsTheWholeChart() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("charts-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }  // a left-over temporary file harms nobody
        let chart = try Self.chart([Self.line])
        for (name, text) in [("c.svg", ChartSVG.text(of: chart)), ("c.html", ChartPage.text(of: chart))] {
            let path = folder.appendingPathComponent(name).path
            try ChartFile(path: path).write(chart)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
        #expect(throws: CommandFailure.self) {
            try ChartFile(path: folder.appendingPathComponent("nowhere/c.svg").path).write(chart)
        }
    }
}
