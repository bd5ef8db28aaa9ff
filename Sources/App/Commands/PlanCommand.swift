import ArgumentParser
import Batching
import Embeddings
import JSON
import Tokenization

/// `ovenbird plan`: memory before there is any.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Tells what memory serve would take with these settings, part by part, and what fits a limit.",
        discussion: """
            It takes the options of serve, reads the model's sizes and its tokenizer, and no weight. Exit code 0 whether \
            the settings fit or not.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var batching: BatchingOptions
    @OptionGroup var serving: ServingOptions
    @OptionGroup var server: ServerOptions
    @OptionGroup var database: DatabaseOptions
    @OptionGroup var jobs: JobOptions
    @OptionGroup var memory: MemoryOptions

    @Flag(help: "Of ovenbird worker, which has no clients.")
    var worker = false

    @Option(help: "Tokens of the text that costs are told for. Default: the model's limit.")
    var textTokens: Int?

    @Flag(help: "Load the model as well, and measure for two seconds how many tokens a second it embeds.")
    var measure = false

    @Flag(help: "One JSON object on the last line of standard output.")
    var json = false

    mutating func validate() throws {
        if let textTokens { try requireRange(1...1_048_576, of: "--text-tokens", textTokens) }
        if worker, database.databaseUrl == nil {
            throw ValidationError("--worker needs --database-url, as worker does")
        }
    }

    func run() async throws {
        let settings = MemorySettings(
            model: model, batching: batching, database: database, jobs: jobs,
            server: worker ? nil : (server, serving))
        try settings.check()
        let outline = try ModelFolder.outline(model)
        let limit = outline.tokenizer.maximumSequenceLength
        if let textTokens, textTokens > limit {
            throw CommandFailure.usage("--text-tokens is \(textTokens); the model takes up to \(limit)")
        }
        let tokens = textTokens ?? limit
        let rate = measure ? try await tokensPerSecond(outline, tokensOfText: tokens) : nil
        let report = PlanReport(
            settings.knobs(outline), given: settings.given, allowance: memory.allowance, tokensOfText: tokens,
            tokensPerSecond: rate)
        print(json ? JSONValue.object(report.json).serialized : report.text)
    }

    /// Of full batches of texts of that many tokens, all threads together.
    private func tokensPerSecond(_ outline: ModelFolder.Outline, tokensOfText: Int) async throws -> Double {
        let engine = try Engine(outline, threads: model.threads, batching: batching)
        // Special tokens are added; where there is room for nothing else, one id is the least text.
        let ids = [Int32](repeating: Int32(outline.tokenizer.vocabularySize / 2), count: max(1, tokensOfText - 2))
        // Two full batches a thread: one runs while the next one waits.
        let texts = 2 * engine.threadCount * max(1, batching.maxBatchTokens / tokensOfText)
        let request = EmbeddingRequest(inputs: Array(repeating: .tokens(ids), count: texts), lane: .bulk)
        _ = try await engine.embedder.embed(request)
        var tokenCount = 0
        let start = ContinuousClock.now
        var elapsed = Duration.zero
        while elapsed < .seconds(2) {
            tokenCount += try await engine.embedder.embed(request).reduce(0) { $0 + $1.tokenCount }
            elapsed = ContinuousClock.now - start
        }
        await engine.close()
        return Double(tokenCount) / Double(seconds: elapsed)
    }
}
