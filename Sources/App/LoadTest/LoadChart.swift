/// Results of load tests side by side: sweeps over their users, other runs over their seconds.
package enum LoadChart {
    /// Each takes two lines of a panel.
    package static let maximumResultCount = Chart.maximumSeriesCount / 2

    /// - Throws: a failure where sweeps and other runs are mixed, or where there are too many to be told apart.
    package static func chart(of results: [LoadResult]) throws(CommandFailure) -> Chart {
        guard results.count <= maximumResultCount else {
            throw .usage("a chart takes \(maximumResultCount) results, not \(results.count)")
        }
        var sweeps: [(LoadResult, [LoadResult.SweepPoint])] = []
        var runs: [(LoadResult, [LoadResult.Timeline])] = []
        for result in results {
            switch result.figures {
            case .sweep(let points): sweeps.append((result, points))
            case .timelines(let timelines): runs.append((result, timelines))
            }
        }
        if let sweep = sweeps.first, let run = runs.first {
            throw .usage(
                "one chart holds sweeps or other runs: '\(sweep.0.label)' is a sweep, '\(run.0.label)' is none")
        }
        do throws(ChartError) {
            return sweeps.isEmpty ? try chart(ofRuns: runs) : try chart(ofSweeps: sweeps)
        } catch {
            throw .failed(error.description)
        }
    }

    /// A colour for each result; medians full, 99th percentiles broken.
    private static func chart(
        ofSweeps sweeps: [(LoadResult, [LoadResult.SweepPoint])]
    ) throws(ChartError) -> Chart {
        func lines(
            _ suffix: String, isBroken: Bool = false, _ value: (LoadResult.SweepPoint) -> Double?
        ) -> [Chart.Series] {
            sweeps.enumerated().map { place, sweep in
                Chart.Series(
                    name: sweep.0.label + suffix,
                    points: sweep.1.compactMap { point in value(point).map { .init(x: Double(point.users), y: $0) } },
                    look: Chart.Look(colour: place, isBroken: isBroken))
            }
        }
        return try Chart(
            title: "Embeddings by users at a time", notes: notes(sweeps.map(\.0)),
            xLabel: "users, each with one request under way", xScale: .log2,
            panels: [
                Chart.Panel(title: "Throughput", yLabel: "texts/s", series: lines("") { $0.textsPerSecond }),
                Chart.Panel(
                    title: "Latency: median, and 99th percentile (broken)", yLabel: "milliseconds", yScale: .log2,
                    series: lines(", median") { $0.p50 } + lines(", 99th percentile", isBroken: true) { $0.p99 }),
            ])
    }

    private static func chart(
        ofRuns runs: [(LoadResult, [LoadResult.Timeline])]
    ) throws(ChartError) -> Chart {
        let lines = runs.flatMap { result, timelines in
            timelines.map { (runs.count == 1 ? $0.name : "\(result.label), \($0.name)", $0.seconds) }
        }
        func series(_ value: (LoadResult.Second) -> Double?) -> [Chart.Series] {
            lines.map { name, seconds in
                Chart.Series(
                    name: name,
                    points: seconds.compactMap { second in value(second).map { .init(x: Double(second.second), y: $0) }
                    })
            }
        }
        var panels = [
            Chart.Panel(title: "Throughput", yLabel: "texts/s", series: series { Double($0.textCount) }),
            Chart.Panel(
                title: "99th percentile of each second's latencies", yLabel: "milliseconds", yScale: .log2,
                series: series { $0.p99 }),
        ]
        if lines.contains(where: { $0.1.contains { $0.refusedCount > 0 } }) {
            panels.append(
                Chart.Panel(title: "Refusals", yLabel: "requests/s", series: series { Double($0.refusedCount) }))
        }
        return try Chart(
            title: "Embeddings under load", notes: notes(runs.map(\.0)),
            xLabel: "seconds since the beginning, warm-up included", xScale: .linear, panels: panels)
    }

    private static func notes(_ results: [LoadResult]) -> [String] {
        let models = Set(results.map(\.model)).sorted()
        let loads = Set(results.map(\.load)).sorted()
        return ["Model \(models.joined(separator: ", ")); \(loads.joined(separator: "; "))."]
    }
}
