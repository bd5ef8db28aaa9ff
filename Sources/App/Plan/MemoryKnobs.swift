/// Everything that decides how much memory a process takes: the model's sizes and the settings that count.
package struct MemoryKnobs: Sendable {
    package var model: Model
    package var computeThreads: Int
    /// Tokens that the workspaces of one compute thread are made for, one entry a workspace; the first is for any batch.
    package var workspaceTokens: [Int]
    package var batch: Batch
    /// Tokens and texts of all requests under way. A worker's are those of its segments, and count there.
    package var queuedTokens: Int
    package var queuedTexts: Int
    /// What a server takes from its clients; nil for a worker, which has none.
    package var server: Server?
    package var jobs: Jobs

    package init(
        model: Model, computeThreads: Int, workspaceTokens: [Int], batch: Batch, queuedTokens: Int, queuedTexts: Int,
        server: Server?, jobs: Jobs
    ) {
        self.model = model
        self.computeThreads = computeThreads
        self.workspaceTokens = workspaceTokens
        self.batch = batch
        self.queuedTokens = queuedTokens
        self.queuedTexts = queuedTexts
        self.server = server
        self.jobs = jobs
    }

    /// The model, in the precision that it is to serve in.
    package struct Model: Sendable {
        /// Word and position rows.
        package var tableByteCounts: [Int]
        /// Norms and dense layers in the precision that serves, and in float32, which every start reads.
        package var layerByteCount: Int
        package var exactLayerByteCount: Int
        /// Beside them while they are read.
        package var readingByteCount: Int
        package var vocabularyByteCount: Int
        package var wordCacheByteCount: Int
        package var dimensions: Int
        package var sequenceLimit: Int
        /// One token's row in a pass.
        package var rowByteCount: Int
        /// Attention's scratch over a text at the limit.
        package var attentionByteCount: Int
        /// Rows of a pass that walk together.
        package var passRowCount: Int
        /// What a workspace takes that is made for so many tokens.
        package var workspaceByteCount: @Sendable (_ tokens: Int) -> Int

        package init(
            tableByteCounts: [Int], layerByteCount: Int, exactLayerByteCount: Int, readingByteCount: Int,
            vocabularyByteCount: Int, wordCacheByteCount: Int, dimensions: Int, sequenceLimit: Int, rowByteCount: Int,
            attentionByteCount: Int, passRowCount: Int, workspaceByteCount: @escaping @Sendable (_ tokens: Int) -> Int
        ) {
            self.tableByteCounts = tableByteCounts
            self.layerByteCount = layerByteCount
            self.exactLayerByteCount = exactLayerByteCount
            self.readingByteCount = readingByteCount
            self.vocabularyByteCount = vocabularyByteCount
            self.wordCacheByteCount = wordCacheByteCount
            self.dimensions = dimensions
            self.sequenceLimit = sequenceLimit
            self.rowByteCount = rowByteCount
            self.attentionByteCount = attentionByteCount
            self.passRowCount = passRowCount
            self.workspaceByteCount = workspaceByteCount
        }
    }

    /// What one pass holds at most.
    package struct Batch: Sendable {
        package var tokens: Int
        package var texts: Int
        /// Static batching counts texts: then no setting bounds the tokens.
        package var isStatic: Bool

        package init(tokens: Int, texts: Int, isStatic: Bool = false) {
            self.tokens = tokens
            self.texts = texts
            self.isStatic = isStatic
        }
    }

    package struct Server: Sendable {
        package var inputs: Int
        package var bodyBytes: Int
        package var bufferedBodyBytes: Int
        package var bodyValues: Int
        /// Longer bodies are parsed one at a time, these on every event loop's core.
        package var shortBodyBytes: Int
        package var connections: Int
        /// Threads that read, parse and answer.
        package var eventLoops: Int

        package init(
            inputs: Int, bodyBytes: Int, bufferedBodyBytes: Int, bodyValues: Int, shortBodyBytes: Int,
            connections: Int, eventLoops: Int
        ) {
            self.inputs = inputs
            self.bodyBytes = bodyBytes
            self.bufferedBodyBytes = bufferedBodyBytes
            self.bodyValues = bodyValues
            self.shortBodyBytes = shortBodyBytes
            self.connections = connections
            self.eventLoops = eventLoops
        }
    }

    package struct Jobs: Sendable {
        /// Connections to the database for everything but the job runner; 0 without one.
        package var databaseConnections: Int
        /// Of the job runner.
        package var runnerConnections: Int
        /// Segments in hand.
        package var workers: Int
        /// Bytes of texts that a segment can hold.
        package var segmentBytes: Int

        package init(databaseConnections: Int, runnerConnections: Int, workers: Int, segmentBytes: Int) {
            self.databaseConnections = databaseConnections
            self.runnerConnections = runnerConnections
            self.workers = workers
            self.segmentBytes = segmentBytes
        }
    }
}
