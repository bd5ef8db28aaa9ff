/// A chart as a page of its own: the drawing, and below it its numbers as tables. No scripts, nothing from elsewhere.
package enum ChartPage {
    package static func text(of chart: Chart) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <meta name="color-scheme" content="light dark">
        <title>\(chart.title.escapedForMarkup)</title>
        <style>\(sheet)</style>
        </head>
        <body>
        <main>
        <h1>\(chart.title.escapedForMarkup)</h1>
        \(chart.notes.map { "<p>\($0.escapedForMarkup)</p>" }.joined(separator: "\n"))
        <figure>
        \(ChartSVG.text(of: chart))</figure>
        \(chart.panels.map { table(of: $0, xLabel: chart.xLabel) }.joined(separator: "\n"))
        </main>
        </body>
        </html>

        """
    }

    /// A row for every x of any line; a dash where a line has no value.
    private static func table(of panel: Chart.Panel, xLabel: String) -> String {
        let heads = ([xLabel] + panel.series.map(\.name)).map { "<th scope=\"col\">\($0.escapedForMarkup)</th>" }
        let columns = panel.series.map { series in
            Dictionary(series.points.map { ($0.x, $0.y) }, uniquingKeysWith: { first, _ in first })
        }
        let rows = Set(columns.flatMap(\.keys)).sorted().map { x in
            let cells = columns.map { "<td>\($0[x].map(ChartNumber.text) ?? "–")</td>" }.joined()
            return "<tr><th scope=\"row\">\(ChartNumber.text(x))</th>\(cells)</tr>"
        }
        return """
            <div class="scroll" tabindex="0" role="region" aria-label="\(panel.title.escapedForMarkup)">
            <table>
            <caption>\(panel.title.escapedForMarkup): \(panel.yLabel.escapedForMarkup)</caption>
            <thead><tr>\(heads.joined())</tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table>
            </div>
            """
    }

    private static let sheet = """

        :root { color-scheme: light dark }
        body { margin: 0; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
        body { background: #ffffff; color: #1f2328 }
        main { max-width: 60rem; margin: 0 auto; padding: 1rem }
        h1 { font-size: 1.4rem }
        figure { margin: 1rem 0 }
        svg { width: 100%; height: auto; display: block }
        .scroll { overflow-x: auto; margin: 1.5rem 0 }
        table { border-collapse: collapse; min-width: 30rem }
        caption { text-align: left; font-weight: 600; padding: .3rem 0 }
        th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #d8dee4 }
        td { font-variant-numeric: tabular-nums }
        @media (prefers-color-scheme: dark) {
        body { background: #0d1117; color: #e6edf3 }
        th, td { border-color: #30363d }
        }

        """
}
