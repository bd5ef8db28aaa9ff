import Batching
import Embeddings
import Inference
import Tokenization

/// The model and the threads that run it, as every command that embeds needs them.
struct Engine: Sendable {
    let embedder: BatchingEmbedder
    let encoder: EncoderModel
    let allowance: ProcessorAllowance
    let threadCount: Int
    let layout: BatchLayout
    let configuration: BatchingConfiguration
    let registry: PrometheusRegistry
    private let metrics: BatchingMetrics
    /// Why the model is not computed as `auto` would have it, if it is not.
    let warning: String?
    /// Tokens of a document's text as the encoder reads it, special tokens included, and whether its end is cut.
    let countTokens: @Sendable (String) -> (count: Int, isTruncated: Bool)

    var description: ModelDescription { embedder.model }

    /// Reads the model and starts the compute threads.
    ///
    /// Time that the machine's peak is measured for at a server's start.
    private static let peakSeconds = 0.03

    /// - Parameters:
    ///   - servedNames: the model's names besides its folder's.
    ///   - admission: what the queue takes; nil for offline work.
    init(
        model: ModelOptions, batching: BatchingOptions, servedNames: [String] = [], admission: Admission? = nil
    ) throws(CommandFailure) {
        try self.init(
            ModelFolder.outline(model), threads: model.threads, batching: batching, servedNames: servedNames,
            admission: admission)
    }

    /// The same, of a model whose outline was read already.
    init(
        _ outline: ModelFolder.Outline, threads: Int?, batching: BatchingOptions, servedNames: [String] = [],
        admission: Admission? = nil
    ) throws(CommandFailure) {
        let contents = try ModelFolder.load(outline, servedNames: servedNames)
        let allowance = ProcessorAllowance.current()
        let threadCount = threads ?? allowance.threadCount
        let configuration = batching.configuration(threadCount: threadCount, admission: admission)
        let layout = batching.chosenLayout
        let registry = PrometheusRegistry()
        let limit = contents.description.maximumSequenceLength
        let (encoder, tokenizer) = (contents.encoder, contents.tokenizer)
        let metrics = BatchingMetrics(
            layout: layout, factory: registry, operationCount: { encoder.operationCount(lengths: $0) })
        // Of serving alone: whatever else an engine does ends with figures of its own.
        if admission != nil {
            metrics.setPeak(
                MachinePeak.measure(precision: encoder.precision, threads: threadCount, seconds: Self.peakSeconds))
        }
        embedder = BatchingEmbedder(
            model: contents.description, configuration: configuration, metrics: metrics, paddingID: tokenizer.paddingID,
            tokenize: { input, role throws(TokenizationRefusal) in
                switch input {
                case .text(let text): return tokenizer.encode(text, role: role)
                case .tokens(let ids):
                    do throws(UnknownTokenID) {
                        return try tokenizer.encode(tokenIDs: ids)
                    } catch {
                        throw TokenizationRefusal(tokenID: error.id)
                    }
                }
            },
            makeEncoder: {
                ModelEncoder(
                    encoder, layout: layout,
                    maximumTokenCount: configuration.maximumPassTokens(sequenceLimit: limit),
                    interludeTokenCount: configuration.interludeTokens,
                    maximumSequenceLength: limit)
            })
        countTokens = { text in
            let tokens = tokenizer.encode(text, role: .document)
            return (tokens.ids.count, tokens.isTruncated)
        }
        self.encoder = encoder
        warning = contents.warning
        self.allowance = allowance
        self.threadCount = threadCount
        self.layout = layout
        self.configuration = configuration
        self.registry = registry
        self.metrics = metrics
    }

    /// What the compute threads have done since the start.
    var statistics: PassStatistics { PassStatistics(registry) }

    /// All metrics, as they are now.
    func scrape() -> String {
        metrics.report(embedder.load)
        return registry.scrape()
    }

    /// What all threads together lately did; nil before the first pass.
    var measuredTokensPerSecond: Double? {
        statistics.realTokenCount > 0 ? embedder.load.tokensPerSecond : nil
    }

    /// How long the threads will take for a share of all tokens that were admitted, 1 to 120 s.
    func timeToFree(share: Double) -> Duration {
        let load = embedder.load
        let seconds = share * Double(load.admittedTokenCount) / max(1, load.tokensPerSecond)
        return .seconds(min(120, max(1, seconds.rounded(.up))))
    }

    /// Ends the threads; there is no work left.
    func close() async {
        await embedder.shutDown(deadline: .now)
    }
}
