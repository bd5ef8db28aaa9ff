import App

extension MemoryKnobs {
    /// About what all-MiniLM-L6-v2 in bf16 and the defaults come to.
    static var sample: MemoryKnobs {
        MemoryKnobs(
            model: Model(
                tableByteCounts: [46_881_792, 786_432], layerByteCount: 21_500_000, exactLayerByteCount: 42_800_000,
                readingByteCount: 4_718_592, vocabularyByteCount: 4_600_000, wordCacheByteCount: 1 << 19,
                dimensions: 384, sequenceLimit: 256, rowByteCount: 8_800, attentionByteCount: 160_000,
                passRowCount: 192, workspaceByteCount: { max(256, min($0, 192)) * 8_800 + 160_000 }),
            computeThreads: 2, workspaceTokens: [512], batch: Batch(tokens: 512, texts: 64), queuedTokens: 524_288,
            queuedTexts: 8_192,
            server: Server(
                inputs: 2_048, bodyBytes: 32 << 20, bufferedBodyBytes: 256 << 20, bodyValues: 1 << 21,
                shortBodyBytes: 256 << 10,
                connections: 1_024, eventLoops: 2),
            jobs: Jobs(databaseConnections: 8, runnerConnections: 4, workers: 2, segmentBytes: 1 << 20))
    }

    /// The same without clients.
    static var worker: MemoryKnobs {
        var knobs = sample
        (knobs.server, knobs.queuedTokens, knobs.queuedTexts) = (nil, 0, 0)
        return knobs
    }
}
