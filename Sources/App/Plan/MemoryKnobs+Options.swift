import Batching
import Embeddings
import Inference
import Tokenization

/// The options of a process that serves or works, as far as memory depends on them.
struct MemorySettings {
    let model: ModelOptions
    let batching: BatchingOptions
    let database: DatabaseOptions
    let jobs: JobOptions
    /// Nil for a worker.
    let server: (options: ServerOptions, serving: ServingOptions)?

    /// - Parameter outline: of the model that the options name.
    func knobs(_ outline: ModelFolder.Outline) -> MemoryKnobs {
        let limit = outline.tokenizer.maximumSequenceLength
        let threads = model.threads ?? ProcessorAllowance.current().threadCount
        let serverKnobs = server?.options.memoryKnobs
        let configuration = batching.configuration(
            threadCount: threads,
            admission: Admission(
                maximumInputs: serverKnobs?.inputs ?? 0,
                maximumQueuedTokens: server?.serving.maxQueuedTokens,
                maximumQueueWait: .seconds(server?.serving.maxQueueWait ?? 0)))
        let queuedTokens = serverKnobs == nil ? 0 : configuration.queueBudget(sequenceLimit: limit)
        let hasDatabase = ![nil, "memory:"].contains(database.databaseUrl)
        let hasJobs = database.databaseUrl != nil
        let isStatic = batching.batching == .static
        let passTokens = configuration.maximumPassTokens(sequenceLimit: limit)
        return MemoryKnobs(
            model: MemoryKnobs.Model(outline), computeThreads: threads,
            workspaceTokens: [passTokens, configuration.interludeTokens],
            batch: MemoryKnobs.Batch(
                tokens: isStatic ? passTokens : configuration.maximumBatchTokens,
                texts: configuration.maximumPassTexts, isStatic: isStatic),
            queuedTokens: queuedTokens,
            queuedTexts: serverKnobs.map { queuedTexts($0, queuedTokens: queuedTokens) } ?? 0, server: serverKnobs,
            jobs: MemoryKnobs.Jobs(
                databaseConnections: hasDatabase ? database.databaseConnections : 0,
                runnerConnections: hasDatabase ? jobs.connectionCount : 0, workers: hasJobs ? jobs.jobWorkers : 0,
                segmentBytes: max(512 << 10, server?.options.maxLineBytes ?? ServerOptions.defaultLineBytes)))
    }

    private func queuedTexts(_ server: MemoryKnobs.Server, queuedTokens: Int) -> Int {
        self.server?.serving.maxQueuedTexts ?? max(server.inputs, queuedTokens / MemoryKnobs.tokensOfText)
    }

    /// Which settings somebody chose.
    var given: Set<MemorySetting> {
        var given: Set<MemorySetting> = []
        func add(_ setting: MemorySetting, if isGiven: Bool) { if isGiven { given.insert(setting) } }
        if let (options, serving) = server {
            add(.bufferedBodyBytes, if: options.maxBufferedBodyBytes != nil)
            add(.bodyBytes, if: options.maxBodyBytes != nil)
            add(.connections, if: options.maxConnections != nil)
            add(.inputs, if: options.maxInputs != nil)
            add(.queuedTokens, if: serving.maxQueuedTokens != nil)
            add(.queuedTexts, if: serving.maxQueuedTexts != nil)
        }
        add(.batchTokens, if: batching.maxBatchTokens != BatchingConfiguration().maximumBatchTokens)
        add(.threads, if: model.threads != nil)
        add(.jobWorkers, if: jobs.jobWorkers != JobOptions.defaultWorkers)
        add(.databaseConnections, if: database.databaseConnections != DatabaseOptions.defaultConnections)
        return given
    }

    /// What is refused before a model is looked at.
    func check() throws(CommandFailure) {
        guard let (options, serving) = server, let texts = serving.maxQueuedTexts else { return }
        let inputs = options.memoryKnobs.inputs
        guard texts >= inputs else {
            throw .usage("--max-queued-texts is \(texts); it takes --max-inputs (\(inputs)) or more")
        }
    }
}

extension MemoryKnobs.Model {
    init(_ outline: ModelFolder.Outline) {
        let (shape, tokenizer, precision) = (outline.shape, outline.tokenizer, outline.precision)
        self.init(
            tableByteCounts: shape.tableByteCounts, layerByteCount: shape.layerByteCount(in: precision),
            exactLayerByteCount: shape.layerByteCount(in: .fp32),
            readingByteCount: max(shape.readingByteCount(in: .fp32), shape.readingByteCount(in: precision)),
            vocabularyByteCount: tokenizer.vocabularyByteCount, wordCacheByteCount: tokenizer.wordCacheByteCount,
            dimensions: shape.dimensions, sequenceLimit: tokenizer.maximumSequenceLength,
            rowByteCount: shape.rowByteCount(in: precision),
            attentionByteCount: shape.attentionByteCount(width: tokenizer.maximumSequenceLength),
            passRowCount: EncoderShape.passRowCount,
            workspaceByteCount: { tokens in
                shape.workspaceByteCount(
                    in: precision, maximumTokenCount: tokens,
                    maximumSequenceLength: tokenizer.maximumSequenceLength)
            })
    }
}
