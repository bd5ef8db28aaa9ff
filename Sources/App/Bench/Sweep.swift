import Batching
import Embeddings
import Foundation
import Inference
import JSON
import Tokenization

/// Runs a sweep: every size in turn, and the machine's peak before and after, of which the higher counts.
struct Sweep {
    let options: SweepOptions
    let layout: BatchLayout
    let isJSON: Bool

    static let peakSeconds = 0.5

    func run(_ texts: [String], model: ModelOptions) async throws {
        let contents = try ModelFolder.load(model, servedNames: [])
        let threadCount = model.threads ?? ProcessorAllowance.current().threadCount
        let encoder = contents.encoder
        let sizes = try options.sizes(lengthLimit: contents.description.maximumSequenceLength)
        var source = try SweepTexts(texts, tokenizer: contents.tokenizer)
        // Lengths that are too short are refused before anything is timed.
        for size in sizes { _ = try source.next(1, length: size.length) }
        let timer = SizeTimer(
            encoder: encoder, layout: layout, threadCount: threadCount, seconds: Double(options.sweepSeconds ?? 1),
            paddingID: contents.tokenizer.paddingID)
        func setting(_ peak: Double?) -> SweepReport.Setting {
            SweepReport.Setting(
                model: contents.description.name, precision: encoder.precision.rawValue, layout: layout.rawValue,
                threadCount: threadCount, weightByteCount: encoder.weightByteCount, peakOperationsPerSecond: peak)
        }
        func peak() -> Double {
            MachinePeak.measure(precision: encoder.precision, threads: threadCount, seconds: Self.peakSeconds)
        }
        let before = peak()
        if !isJSON { print(SweepReport.heading) }
        var rows: [SweepReport.Row] = []
        for size in sizes {
            var sequences: [[TokenSequence]] = []
            for _ in 0..<threadCount { sequences.append(try source.next(size.batch, length: size.length)) }
            let timing = await timer.time(size, sequences: sequences)
            let operations = encoder.operationCount(lengths: Array(repeating: size.length, count: size.batch))
            rows.append(SweepReport.Row(timing: timing, operationCount: operations))
            if !isJSON { print(SweepReport.line(rows[rows.count - 1], setting: setting(before))) }
        }
        let report = SweepReport(setting: setting(max(before, peak())), rows: rows)
        if let chart = options.chart {
            do {
                try chart.write(try report.chart())
            } catch let error as ChartError {
                throw CommandFailure.failed(error.description)
            }
        }
        if isJSON { print(JSONValue.object(report.json).serialized) }
    }
}
