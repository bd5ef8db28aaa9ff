import ArgumentParser
import Batching
import Inference

/// How texts become passes.
struct BatchingOptions: ParsableArguments {
    @Option(
        help: "packed drops padding rows before the dense layers; padded computes the whole rectangle. Default: packed."
    )
    var layout: BatchLayout?

    @Option(
        help:
            "continuous: a free thread takes the best next batch. static: batches of --batch-size in order of arrival.")
    var batching: BatchingMode = .continuous

    @Option(help: "Static batching: texts a batch. Default: 32.")
    var batchSize: Int?

    @Option(help: "Static batching: milliseconds that a batch waits to fill. Default: 5.")
    var batchWait: Int?

    @Option(help: "Tokens, padding included, that a pass may hold; a longer text runs alone.")
    var maxBatchTokens: Int = BatchingConfiguration().maximumBatchTokens

    @Option(help: "Texts that a pass may hold.")
    var maxNumSeqs: Int = BatchingConfiguration().maximumBatchSequences

    @Option(
        help: "Tokens that all admitted texts may hold together. Default: what one request may hold, at least 262144.")
    var maxQueuedTokens: Int?

    mutating func validate() throws {
        try ServerOptions.check("--max-batch-tokens", maxBatchTokens, in: 1...1_048_576)
        try ServerOptions.check("--max-num-seqs", maxNumSeqs, in: 1...65_536)
        if let maxQueuedTokens {
            try ServerOptions.check("--max-queued-tokens", maxQueuedTokens, in: 1...(1 << 40))
        }
        if let batchSize { try ServerOptions.check("--batch-size", batchSize, in: 1...65_536) }
        if let batchWait { try ServerOptions.check("--batch-wait", batchWait, in: 0...60_000) }
        if batching == .continuous, batchSize != nil || batchWait != nil {
            throw ValidationError("--batch-size and --batch-wait belong to --batching static")
        }
    }

    /// - Parameters:
    ///   - threadCount: compute threads.
    ///   - maximumInputs: what one request may hold; nil for offline work, whose queue is bounded by its reader.
    func configuration(threadCount: Int, maximumInputs: Int?) -> BatchingConfiguration {
        var configuration = BatchingConfiguration()
        if batching == .static {
            configuration.mode = .firstComeFirstServed(
                batchSize: batchSize ?? 32, wait: .milliseconds(batchWait ?? 5))
        }
        configuration.maximumBatchTokens = maxBatchTokens
        configuration.maximumBatchSequences = maxNumSeqs
        configuration.computeThreadCount = threadCount
        if let maximumInputs {
            configuration.maximumInputsPerRequest = maximumInputs
            configuration.maximumQueuedTokens = maxQueuedTokens
        } else {
            configuration.maximumQueuedTokens = maxQueuedTokens ?? Int.max / 2
        }
        return configuration
    }

    func with(layout: BatchLayout) -> BatchingOptions {
        var options = self
        options.layout = layout
        return options
    }
}

enum BatchingMode: String, ExpressibleByArgument, CaseIterable, Sendable {
    case continuous
    case `static`
}

extension BatchLayout: ExpressibleByArgument {}
