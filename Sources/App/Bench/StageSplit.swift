import Embeddings
import Foundation
import Inference
import JSON
import Tokenization

/// Where the time of embedding a file goes: tokenizing, then the stages of the passes, on one thread.
struct StageSplit {
    /// In the order of the work; seconds.
    let stages: [(name: String, seconds: Double)]

    /// Does all twice, and measures the second time.
    ///
    /// - Parameter tokenLimit: tokens of a pass, padding included.
    init(_ texts: [String], contents: ModelFolder.Contents, layout: BatchLayout, tokenLimit: Int) {
        let clock = ContinuousClock()
        _ = texts.map { contents.tokenizer.encode($0) }
        let start = clock.now
        var sequences = texts.map { contents.tokenizer.encode($0) }
        let tokenizing = Double(seconds: clock.now - start)
        sequences.sort { $0.ids.count > $1.ids.count }
        let workspace = contents.encoder.makeWorkspace(
            maximumTokenCount: tokenLimit,
            maximumSequenceLength: contents.description.maximumSequenceLength)
        let stages = StageClock()
        for measured in [nil, stages] {
            var first = 0
            while first < sequences.count {
                // Longest first, so the first sequence's width is the pass's.
                let count = max(1, tokenLimit / sequences[first].ids.count)
                let end = min(sequences.count, first + count)
                let batch = PaddedBatch(Array(sequences[first..<end]), paddingID: contents.tokenizer.paddingID)
                var vectors = [Float](repeating: 0, count: batch.count * contents.encoder.dimensions)
                vectors.withUnsafeMutableBufferPointer { vectors in
                    contents.encoder.encode(
                        batch, layout: layout, workspace: workspace, clock: measured, into: vectors)
                }
                first = end
            }
        }
        self.stages =
            [(name: "tokenize", seconds: tokenizing)]
            + StageClock.Stage.allCases.map { (name: $0.name, seconds: Double(seconds: stages.duration(of: $0))) }
    }

    private var total: Double { stages.reduce(0) { $0 + $1.seconds } }

    /// For people; one line.
    var summary: String {
        let shares = stages.map { "\($0.name) \(String(format: "%.1f", 100 * $0.seconds / total)) %" }
        return "stages, one thread: " + shares.joined(separator: ", ")
    }

    var json: JSONObject {
        var object = JSONObject()
        for stage in stages { object[stage.name] = .number(JSONNumber(stage.seconds)) }
        return object
    }
}

extension StageClock.Stage {
    /// As `bench --stages` calls it.
    fileprivate var name: String {
        switch self {
        case .embed: "embed"
        case .qkv: "qkv"
        case .attention: "attention"
        case .attentionOutput: "attention_output"
        case .feedForward: "ffn"
        case .norm: "norm"
        case .pool: "pool"
        }
    }
}
