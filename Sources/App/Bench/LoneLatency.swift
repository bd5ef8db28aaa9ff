import Embeddings
import JSON

/// How long texts take that come one at a time, each when the one before has its vector: what the engine takes of a lone
/// request's latency.
struct LoneLatency {
    private var histogram = LogHistogram()

    /// Texts of a file that are asked for, from its start; the first sixteen of them warm up.
    static let maximumCount = 2_048

    /// - Throws: what the embedder throws.
    static func measure(_ texts: [String], embedder: any Embedder) async throws -> LoneLatency {
        var latency = LoneLatency()
        for text in texts.prefix(16) { _ = try await embedder.embed(request(text)) }
        for text in texts.prefix(maximumCount) {
            let start = ContinuousClock.now
            _ = try await embedder.embed(request(text))
            latency.histogram.record(ContinuousClock.now - start)
        }
        return latency
    }

    private static func request(_ text: String) -> EmbeddingRequest {
        EmbeddingRequest(inputs: [.text(text)], lane: .interactive)
    }

    private var figures: [(String, Double)] {
        [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1)].map { ($0, histogram.milliseconds($1) ?? 0) }
    }

    var summary: String {
        "one at a time: " + figures.map { "\($0) \(ChartNumber.text($1)) ms" }.joined(separator: ", ")
    }

    var json: JSONObject {
        var object = JSONObject()
        for (name, milliseconds) in figures { object[name] = .number(JSONNumber(milliseconds)) }
        return object
    }
}
