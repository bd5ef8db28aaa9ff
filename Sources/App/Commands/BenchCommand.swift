import ArgumentParser
import Batching
import Embeddings
import Foundation
import Inference
import JSON

/// `ovenbird bench`: one warm pass over a file of texts, tokenization included.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Times one warm pass over a file of texts: tokenize, batch, encode, pool.",
        discussion: """
            Without --layout both layouts run, packed first; the figures at the top level are packed's.
            With --sweep-batch or --sweep-length it times the encoder alone, on passes of those sizes, in one layout.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var batching: BatchingOptions
    @OptionGroup var sweep: SweepOptions

    @Option(help: "NDJSON lines {\"id\",\"text\"}, or one text a line; blank lines count as texts.")
    var input: String

    @Option(help: "Where the vectors of the first layout go, as little-endian float32 rows in input order.")
    var output: String?

    @Flag(help: "Tells as well where the time goes, stage by stage, on one thread.")
    var stages = false

    @Flag(help: "Tells as well how long texts take that come one at a time, of the first 2,048 in the first layout.")
    var oneAtATime = false

    @Flag(help: "One JSON object on the last line of standard output.")
    var json = false

    func validate() throws {
        guard sweep.isAsked else { return }
        if stages {
            throw ValidationError("--stages splits the pass over a file, which a sweep does not make")
        }
        if oneAtATime {
            throw ValidationError("--one-at-a-time goes through the scheduler, which a sweep goes without")
        }
        if output != nil {
            throw ValidationError("--output takes the vectors of a whole file, which a sweep does not make")
        }
        if let option = batching.firstOfScheduler {
            throw ValidationError("\(option) belongs to the scheduler, which a sweep goes without")
        }
    }

    func run() async throws {
        var reader = try TextReader(path: input, blankLines: .keep)
        let texts = try reader.rest().map(\.text)
        guard !texts.isEmpty else { throw CommandFailure.failed("the input '\(input)' holds no text") }
        guard !sweep.isAsked else {
            return try await Sweep(options: sweep, layout: batching.layout ?? .packed, isJSON: json)
                .run(texts, model: model)
        }
        let layouts = batching.layout.map { [$0] } ?? [.packed, .padded]
        var passes: [BenchPass] = []
        var lone: LoneLatency?
        for layout in layouts {
            let engine = try Engine(model: model, batching: batching.with(layout: layout))
            let (pass, embeddings) = try await Self.time(texts, layout: layout, engine: engine)
            if passes.isEmpty, let output { try Self.write(embeddings, to: output) }
            if passes.isEmpty, oneAtATime { lone = try await LoneLatency.measure(texts, embedder: engine.embedder) }
            passes.append(pass)
            await engine.close()
        }
        let split = try stages ? stageSplit(texts) : nil
        if json {
            print(Self.report(passes, split, lone).serialized)
        } else {
            for pass in passes { print(pass.summary) }
            if let lone { print(lone.summary) }
            if let split { print(split.summary) }
        }
    }

    private static func time(
        _ texts: [String], layout: BatchLayout, engine: Engine
    ) async throws -> (BenchPass, [Embedding]) {
        // The clock of a shared machine wanders: the peak is measured on both sides of the pass, and the higher counts.
        let peakBefore = engine.measuredPeak()
        let warmUp = EmbeddingRequest(inputs: texts.prefix(64).map { .text($0) }, lane: .bulk)
        _ = try await engine.embedder.embed(warmUp)
        let before = engine.statistics
        let start = ContinuousClock.now
        let request = EmbeddingRequest(inputs: texts.map { .text($0) }, lane: .bulk)
        let embeddings = try await engine.embedder.embed(request)
        let seconds = Double(seconds: ContinuousClock.now - start)
        let statistics = engine.statistics - before
        let pass = BenchPass(
            layout: layout.rawValue, precision: engine.encoder.precision.rawValue, seconds: seconds,
            textCount: texts.count, statistics: statistics,
            operationCount: engine.encoder.operationCount(lengths: embeddings.map(\.tokenCount)),
            peakOperationsPerSecond: max(peakBefore, engine.measuredPeak()))
        return (pass, embeddings)
    }

    private static func write(_ embeddings: [Embedding], to path: String) throws(CommandFailure) {
        var file = try OutputFile(path: path)
        for embedding in embeddings { try file.write(embedding.vector.values) }
        try file.flush()
    }

    private func stageSplit(_ texts: [String]) throws -> StageSplit {
        StageSplit(
            texts, contents: try ModelFolder.load(model, servedNames: []), layout: batching.layout ?? .packed,
            tokenLimit: batching.maxBatchTokens)
    }

    private static func report(_ passes: [BenchPass], _ split: StageSplit?, _ lone: LoneLatency?) -> JSONValue {
        var report = passes.first?.json ?? JSONObject()
        if let split { report["stage_seconds"] = .object(split.json) }
        if let lone { report["one_at_a_time_ms"] = .object(lone.json) }
        var layouts = JSONObject()
        for pass in passes { layouts[pass.layout] = .object(pass.json) }
        report["layouts"] = .object(layouts)
        return .object(report)
    }
}

extension Engine {
    /// Operations a second of bare multiply-add loops in the engine's precision on as many threads as it has.
    fileprivate func measuredPeak() -> Double {
        MachinePeak.measure(precision: encoder.precision, threads: threadCount, seconds: Sweep.peakSeconds)
    }
}
