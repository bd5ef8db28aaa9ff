import Foundation
package import JSON

/// A sweep as it is printed, drawn and handed on.
package struct SweepReport: Sendable {
    /// What held for every size.
    package struct Setting: Sendable {
        package let model: String
        package let precision: String
        package let layout: String
        package let threadCount: Int
        /// Memory of the weights, which all threads share.
        package let weightByteCount: Int
        /// Multiplications and additions a second that the machine reached on these threads; nil where not measured.
        package let peakOperationsPerSecond: Double?

        package init(
            model: String, precision: String, layout: String, threadCount: Int, weightByteCount: Int,
            peakOperationsPerSecond: Double?
        ) {
            self.model = model
            self.precision = precision
            self.layout = layout
            self.threadCount = threadCount
            self.weightByteCount = weightByteCount
            self.peakOperationsPerSecond = peakOperationsPerSecond
        }
    }

    /// One size: what was measured, and the operations of one pass (dense layers and attention).
    package struct Row: Sendable {
        package let timing: SizeTiming
        package let operationCount: Double

        package init(timing: SizeTiming, operationCount: Double) {
            self.timing = timing
            self.operationCount = operationCount
        }

        package func shareOfPeak(_ peakOperationsPerSecond: Double) -> Double {
            let tokenCount = Double(timing.size.batch * timing.size.length)
            return timing.tokensPerSecond / tokenCount * operationCount / peakOperationsPerSecond
        }
    }

    package let setting: Setting
    /// In the order in which they were timed; at least one.
    package let rows: [Row]

    /// - Precondition: at least one row.
    package init(setting: Setting, rows: [Row]) {
        precondition(!rows.isEmpty)
        self.setting = setting
        self.rows = rows
    }

    // MARK: For people

    /// A line of names, and one for each size.
    package var table: String { ([Self.heading] + rows.map(line)).joined(separator: "\n") }

    private static let heading = Self.line([
        "BATCH", "LENGTH", "TOKENS/S", "TOKENS/S/SEQ", "PASS MS", "SCRATCH MIB", "WITH WEIGHTS", "PEAK RSS", "OF PEAK",
    ])

    private func line(_ row: Row) -> String {
        let timing = row.timing
        return Self.line([
            "\(timing.size.batch)", "\(timing.size.length)", Self.decimal(timing.tokensPerSecond, 0),
            Self.decimal(timing.tokensPerSecondPerSequence, 0), Self.decimal(timing.latencySeconds * 1000, 3),
            Self.mebibytes(timing.scratchByteCount), Self.mebibytes(timing.scratchByteCount + setting.weightByteCount),
            timing.peakResidentByteCount.map(Self.mebibytes) ?? "-",
            setting.peakOperationsPerSecond.map { Self.decimal(100 * row.shareOfPeak($0), 1) + " %" } ?? "-",
        ])
    }

    private static func line(_ cells: [String]) -> String {
        zip(cells, [5, 6, 10, 12, 10, 11, 12, 8, 7]).map { cell, width in
            String(repeating: " ", count: max(0, width - cell.count)) + cell
        }.joined(separator: "  ")
    }

    private static func decimal(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

    private static func mebibytes(_ count: Int) -> String { decimal(Double(count) / 1_048_576, 1) }

    // MARK: For programs

    /// The totals carry the names that a bench without a sweep has; no size is padded.
    package var json: JSONObject {
        func seconds(_ row: Row) -> Double { row.timing.passSeconds.reduce(0, +) / Double(setting.threadCount) }
        func tokens(_ row: Row) -> Int { row.timing.passSeconds.count * row.timing.size.batch * row.timing.size.length }
        let total = rows.reduce(0) { $0 + seconds($1) }
        let texts = rows.reduce(0) { $0 + $1.timing.passSeconds.count * $1.timing.size.batch }
        let tokenCount = rows.reduce(0) { $0 + tokens($1) }
        var report = JSONObject([
            "model": .string(setting.model), "precision": .string(setting.precision),
            "layout": .string(setting.layout), "threads": .number(JSONNumber(setting.threadCount)),
            "seconds": .number(JSONNumber(total)), "texts": .number(JSONNumber(texts)),
            "tokens": .number(JSONNumber(tokenCount)),
            "texts_per_second": .number(JSONNumber(Double(texts) / total)),
            "tokens_per_second": .number(JSONNumber(Double(tokenCount) / total)), "padding_ratio": 1,
            "weight_bytes": .number(JSONNumber(setting.weightByteCount)),
        ])
        if let peak = setting.peakOperationsPerSecond {
            report["peak_operations_per_second"] = .number(JSONNumber(peak))
        }
        report["sweep"] = .array(rows.map { .object(json($0)) })
        return report
    }

    private func json(_ row: Row) -> JSONObject {
        let timing = row.timing
        var object = JSONObject([
            "batch": .number(JSONNumber(timing.size.batch)), "length": .number(JSONNumber(timing.size.length)),
            "passes": .number(JSONNumber(timing.passSeconds.count)),
            "tokens_per_second": .number(JSONNumber(timing.tokensPerSecond)),
            "tokens_per_second_per_sequence": .number(JSONNumber(timing.tokensPerSecondPerSequence)),
            "latency_ms": .number(JSONNumber(timing.latencySeconds * 1000)),
            "least_latency_ms": .number(JSONNumber((timing.passSeconds.first ?? 0) * 1000)),
            "scratch_bytes": .number(JSONNumber(timing.scratchByteCount)),
            "scratch_and_weight_bytes": .number(JSONNumber(timing.scratchByteCount + setting.weightByteCount)),
            "peak_resident_bytes": timing.peakResidentByteCount.map { .number(JSONNumber($0)) } ?? .null,
            "operations": .number(JSONNumber(row.operationCount)),
        ])
        if let peak = setting.peakOperationsPerSecond {
            object["share_of_peak"] = .number(JSONNumber(row.shareOfPeak(peak)))
        }
        return object
    }
}

// MARK: Drawn

extension SweepReport {
    /// Throughput, what each sequence sees, latency and memory: over the batch, a line a length; over the length where
    /// only one batch was swept.
    package func chart() throws(ChartError) -> Chart {
        let batches = Set(rows.map(\.timing.size.batch))
        let isOverLength = batches.count == 1
        let lines = Set(rows.map { isOverLength ? $0.timing.size.batch : $0.timing.size.length }).sorted()
        func series(_ value: (Row) -> Double) -> [Chart.Series] {
            lines.map { line in
                let own = rows.filter { (isOverLength ? $0.timing.size.batch : $0.timing.size.length) == line }
                let points = own.map { row in
                    Chart.Point(x: Double(isOverLength ? row.timing.size.length : row.timing.size.batch), y: value(row))
                }
                return Chart.Series(name: isOverLength ? "batch of \(line)" : "\(line) tokens each", points: points)
            }
        }
        let mebibyte = 1_048_576.0
        let weights = String(format: "%.1f", Double(setting.weightByteCount) / mebibyte)
        var notes = [
            "\(setting.model), \(setting.precision), \(setting.threadCount) threads, each with its own batch; "
                + "\(setting.layout) layout."
        ]
        if let peak = setting.peakOperationsPerSecond {
            let best = rows.map { $0.shareOfPeak(peak) }.max() ?? 0
            notes.append(
                "Measured peak \(ChartNumber.text((peak / 1e8).rounded() / 10)) Gop/s; "
                    + "the best size reaches \(ChartNumber.text((best * 1000).rounded() / 10)) % of it.")
        }
        return try Chart(
            title: "Encoder passes by \(isOverLength ? "length" : "batch size")", notes: notes,
            xLabel: isOverLength ? "tokens of each sequence" : "sequences of one pass", xScale: .log2,
            panels: [
                Chart.Panel(
                    title: "Throughput, all threads", yLabel: "tokens/s", series: series(\.timing.tokensPerSecond)),
                Chart.Panel(
                    title: "Median latency of a pass", yLabel: "milliseconds", yScale: .log2,
                    series: series { $0.timing.latencySeconds * 1000 }),
                Chart.Panel(
                    title: "Throughput that one sequence sees", yLabel: "tokens/s", yScale: .log2,
                    series: series(\.timing.tokensPerSecondPerSequence)),
                Chart.Panel(
                    title: "Scratch memory, beside \(weights) MiB of weights", yLabel: "MiB",
                    series: series { Double($0.timing.scratchByteCount) / mebibyte }),
            ])
    }
}
