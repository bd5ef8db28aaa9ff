import Embeddings

/// The embedder as requests use it: counts who waits for vectors, and tells the request where its time went.
struct MeasuredEmbedder: Embedder {
    let base: any Embedder
    let metrics: HTTPMetrics

    var model: ModelDescription { base.model }
    var isReady: Bool { base.isReady }

    func embedEach(_ request: EmbeddingRequest) async throws(EmbeddingError) -> EmbeddingReport {
        metrics.beginWait()
        defer { metrics.endWait() }
        let report = try await base.embedEach(request)
        StageTimes.current?.add(report)
        return report
    }
}
