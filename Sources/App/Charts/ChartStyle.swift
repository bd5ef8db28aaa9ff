/// How charts look, by daylight and by night.
enum ChartStyle {
    /// Each at a contrast of at least 4.5 to the paper behind it, in both.
    static let colours: [(light: String, dark: String)] = [
        ("#0b62a4", "#6cb6ff"), ("#b8390a", "#ff9d5c"), ("#15703a", "#6fdd8b"), ("#7e22ce", "#d2a8ff"),
        ("#b01657", "#ff8fb8"), ("#0d6b64", "#5eead4"), ("#7f5606", "#eac54f"), ("#4b5563", "#b7bdc6"),
    ]

    /// Rules of the SVG element; they reach nothing outside of it.
    static let sheet: String = {
        let light = colours.enumerated().map { rule($0.offset, $0.element.light) }.joined(separator: "\n")
        let dark = colours.enumerated().map { rule($0.offset, $0.element.dark) }.joined(separator: "\n")
        return """

            .chart { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
            .chart text { fill: #1f2328 }
            .chart .title { font-size: 19px; font-weight: 600 }
            .chart .panel { font-size: 15px; font-weight: 600 }
            .chart .tick, .chart .note { font-size: 12px; fill: #57606a }
            .chart .middle { text-anchor: middle }
            .chart .end { text-anchor: end }
            .chart .paper { fill: #ffffff }
            .chart .grid { stroke: #d8dee4 }
            .chart .axis { stroke: #57606a }
            .chart .line { fill: none; stroke-width: 2; stroke-linejoin: round }
            .chart .broken { stroke-dasharray: 7 4 }
            .chart .mark { stroke-dasharray: none }
            \(light)
            @media (prefers-color-scheme: dark) {
            .chart text { fill: #e6edf3 }
            .chart .tick, .chart .note { fill: #9da7b1 }
            .chart .paper { fill: #0d1117 }
            .chart .grid { stroke: #30363d }
            .chart .axis { stroke: #9da7b1 }
            \(dark)
            }

            """
    }()

    private static func rule(_ place: Int, _ colour: String) -> String {
        ".chart .line.c\(place) { stroke: \(colour) } .chart .mark.c\(place) { stroke: \(colour); fill: \(colour) }"
    }
}
