import ArgumentParser
import Batching
package import Inference

/// How texts become passes.
package struct BatchingOptions: ParsableArguments {
    @Option(
        help: """
            packed drops padding rows before the dense layers; padded computes the whole rectangle. Default: packed; \
            padded with --batching static.
            """)
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

    package init() {}

    package mutating func validate() throws {
        try requireRange(1...1_048_576, of: "--max-batch-tokens", maxBatchTokens)
        try requireRange(1...65_536, of: "--max-num-seqs", maxNumSeqs)
        if let batchSize { try requireRange(1...65_536, of: "--batch-size", batchSize) }
        if let batchWait { try requireRange(0...60_000, of: "--batch-wait", batchWait) }
        if batching == .continuous, batchSize != nil || batchWait != nil {
            throw ValidationError("--batch-size and --batch-wait belong to --batching static")
        }
    }

    /// - Parameters:
    ///   - threadCount: compute threads.
    ///   - admission: what a server takes; nil for offline work, whose queue is bounded by its reader.
    func configuration(threadCount: Int, admission: Admission?) -> BatchingConfiguration {
        var configuration = BatchingConfiguration()
        if batching == .static {
            configuration.mode = .firstComeFirstServed(
                batchSize: batchSize ?? 32, wait: .milliseconds(batchWait ?? 5))
        }
        configuration.maximumBatchTokens = maxBatchTokens
        configuration.maximumBatchSequences = maxNumSeqs
        configuration.computeThreadCount = threadCount
        if let admission {
            configuration.maximumInputsPerRequest = admission.maximumInputs
            configuration.maximumQueuedTokens = admission.maximumQueuedTokens
            configuration.maximumQueueWait = admission.maximumQueueWait
        } else {
            configuration.maximumQueuedTokens = Int.max / 2
        }
        return configuration
    }

    /// The first option, of those but --layout, that was given another value than its default.
    var firstOfScheduler: String? {
        let defaults = BatchingConfiguration()
        if batching != .continuous { return "--batching \(batching.rawValue)" }
        if maxBatchTokens != defaults.maximumBatchTokens { return "--max-batch-tokens" }
        if maxNumSeqs != defaults.maximumBatchSequences { return "--max-num-seqs" }
        return nil
    }

    /// Of an engine. Static batching is there to be measured against, so it pads as those do who batch so. (`bench` runs both
    /// layouts where none is named.)
    package var chosenLayout: BatchLayout { layout ?? (batching == .static ? .padded : .packed) }

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
