import Batching
import Embeddings
import Foundation
import Inference
import JSON
import Tokenization

/// Runs a sweep: every size in turn, in three rounds, so that what else the machine does for a while falls on all sizes
/// alike; and the machine's peak before, between and after the rounds, of which the highest counts.
struct Sweep {
    let options: SweepOptions
    let layout: BatchLayout
    let isJSON: Bool

    static let peakSeconds = 0.5
    private static let roundCount = 3

    func run(_ texts: [String], model: ModelOptions) async throws {
        let contents = try ModelFolder.load(model, servedNames: [])
        let threadCount = model.threads ?? ProcessorAllowance.current().threadCount
        let encoder = contents.encoder
        let sizes = try options.sizes(lengthLimit: contents.description.maximumSequenceLength)
        var source = try SweepTexts(texts, tokenizer: contents.tokenizer)
        // Lengths that are too short are refused before anything is timed.
        for size in sizes { _ = try source.next(1, length: size.length) }
        let timer = SizeTimer(
            encoder: encoder, layout: layout, threadCount: threadCount,
            seconds: Double(options.sweepSeconds ?? 1) / Double(Self.roundCount),
            paddingID: contents.tokenizer.paddingID)
        func measuredPeak() -> Double {
            MachinePeak.measure(precision: encoder.precision, threads: threadCount, seconds: Self.peakSeconds)
        }
        var peak = measuredPeak()
        var timings: [SweepSize: SizeTiming] = [:]
        for _ in 0..<Self.roundCount {
            for size in sizes {
                var sequences: [[TokenSequence]] = []
                for _ in 0..<threadCount { sequences.append(try source.next(size.batch, length: size.length)) }
                let timing = await timer.time(size, sequences: sequences)
                timings[size] = timings[size]?.joined(with: timing) ?? timing
            }
            peak = max(peak, measuredPeak())
        }
        let report = SweepReport(
            setting: SweepReport.Setting(
                model: contents.description.name, precision: encoder.precision.rawValue, layout: layout.rawValue,
                threadCount: threadCount, weightByteCount: encoder.weightByteCount, peakOperationsPerSecond: peak),
            rows: sizes.compactMap { size in
                timings[size].map { timing in
                    let lengths = Array(repeating: size.length, count: size.batch)
                    return SweepReport.Row(timing: timing, operationCount: encoder.operationCount(lengths: lengths))
                }
            })
        print(isJSON ? JSONValue.object(report.json).serialized : report.table)
        if let chart = options.chart {
            do {
                try chart.write(try report.chart())
            } catch let error as ChartError {
                throw CommandFailure.failed(error.description)
            }
        }
    }
}
