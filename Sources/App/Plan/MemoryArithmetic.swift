/// The formulas of `MemoryPlan`.
struct MemoryArithmetic {
    let knobs: MemoryKnobs
    let costs: MemoryCosts

    private typealias Part = MemoryPlan.Part

    private var model: MemoryKnobs.Model { knobs.model }
    private var vectorByteCount: Int { model.dimensions * MemoryLayout<Float>.stride }
    private var databaseConnections: Int { knobs.jobs.databaseConnections + knobs.jobs.runnerConnections }
    private var tables: Int { model.tableByteCounts.reduce(0, +) }

    // MARK: Idle

    var idle: [MemoryPlan.Part] {
        [runtime(.idle), layers, embeddingTables(.idle), tokenizer(.idle), activations, threads, database]
            .filter { $0.byteCount > 0 }
    }

    private func runtime(_ phase: Part.Phase) -> Part {
        Part(name: "runtime", phase: phase, byteCount: costs.runtime, formula: "the program and its libraries")
    }

    private var layers: Part {
        Part(
            name: "layers", phase: .idle, byteCount: model.layerByteCount,
            formula: "norms and dense layers, packed for this processor")
    }

    private func embeddingTables(_ phase: Part.Phase) -> Part {
        Part(
            name: "embedding_tables", phase: phase, byteCount: tables,
            formula: "rows of words and positions in float32")
    }

    private func tokenizer(_ phase: Part.Phase) -> Part {
        Part(
            name: "tokenizer", phase: phase, byteCount: model.vocabularyByteCount + model.wordCacheByteCount,
            formula: "vocabulary, and a cache of words for the thread that tokenizes")
    }

    private var activations: Part {
        let workspaces = knobs.workspaceTokens.reduce(0) { $0 + model.workspaceByteCount($1) }
        return Part(
            name: "activations", phase: .idle, byteCount: knobs.computeThreads * workspaces,
            formula:
                "\(counted(knobs.computeThreads, "thread")) × scratch of \(model.passRowCount) rows or one longer text, "
                + "\(model.rowByteCount) bytes a row, and \(model.attentionByteCount) for attention")
    }

    private var threads: Part {
        // Of the server: event loops, as many threads of the tasks, the parser; of every process: tokenizer, main thread,
        // and the pair that counts time and signals.
        let others = (knobs.server.map { 2 * $0.eventLoops + 1 } ?? 2) + 4
        let count = knobs.computeThreads + others + databaseConnections
        return Part(
            name: "threads", phase: .idle, byteCount: count * costs.thread,
            formula: "\(counted(count, "thread")) × \(costs.thread) bytes of stack and allocator")
    }

    private var database: Part {
        Part(
            name: "database_connections", phase: .idle, byteCount: databaseConnections * costs.databaseConnection,
            formula: "\(databaseConnections) × \(costs.databaseConnection) bytes")
    }

    // MARK: Load

    var load: [MemoryPlan.Part] {
        var parts = [batches, queue]
        if let server = knobs.server {
            parts += [bodies(server), parsing(server), answers(server), connections(server)]
        }
        parts.append(segments)
        return parts.filter { $0.byteCount > 0 }
    }

    /// Ids of the rectangle, and each text's vector twice: in the pass's own array and in the result.
    private var batches: Part {
        // A text has a token at least, and fills a batch alone where it is longer than one.
        let tokens = max(knobs.batch.tokens, model.sequenceLimit)
        let texts = min(knobs.batch.texts, tokens)
        return Part(
            name: "batches", phase: .load,
            byteCount: knobs.computeThreads * (tokens * costs.token + texts * oneMoreTextOfBatch(tokens: 0)),
            formula: "\(counted(knobs.computeThreads, "thread")) × (\(tokens) ids + \(texts) texts' vectors, twice)")
    }

    /// What one more text of that many tokens costs a batch that is larger than the rows that walk together.
    func oneMoreTextOfBatch(tokens: Int) -> Int {
        // Beside the vectors: length and prefix, the array's header.
        tokens * costs.token + 2 * vectorByteCount + 8 + 32
    }

    /// Requests take turns, so that those that came together end together: each text then has its vector.
    private var queue: Part {
        Part(
            name: "queue", phase: .load,
            byteCount: knobs.queuedTokens * costs.token + knobs.queuedTexts * (costs.queuedText + vectorByteCount),
            formula: "\(knobs.queuedTokens) tokens × \(costs.token) + \(knobs.queuedTexts) texts × "
                + "(\(costs.queuedText) + \(vectorByteCount) of the vector)")
    }

    private func bodies(_ server: MemoryKnobs.Server) -> Part {
        Part(
            name: "request_bodies", phase: .load, byteCount: server.bufferedBodyBytes,
            formula: "bodies under way, as bytes or as texts (--max-buffered-body-bytes)")
    }

    private func parsing(_ server: MemoryKnobs.Server) -> Part {
        // A list takes two bytes at least.
        func values(_ byteCount: Int) -> Int { min(server.bodyValues, byteCount / 2) }
        let long = values(server.bodyBytes)
        let short = values(min(server.bodyBytes, server.shortBodyBytes))
        return Part(
            name: "parsing", phase: .load,
            byteCount: max(server.bodyBytes, long * costs.jsonValue) + server.eventLoops * short * costs.jsonValue,
            formula: "beside their bytes: one long body at a time, and \(server.eventLoops) of up to "
                + "\(server.shortBodyBytes) bytes; (\(long) + \(server.eventLoops) × \(short)) values × \(costs.jsonValue)"
        )
    }

    /// Of all texts under way, since they may end together. An answer is copied once to be sent.
    private func answers(_ server: MemoryKnobs.Server) -> Part {
        let vectors = knobs.queuedTexts + min(knobs.queuedTexts, server.eventLoops * server.inputs)
        return Part(
            name: "answers", phase: .load, byteCount: vectors * model.dimensions * costs.answerValue,
            formula: "of \(knobs.queuedTexts) texts, and a copy of those that are being made: \(vectors) vectors × "
                + "\(model.dimensions) numbers × \(costs.answerValue)")
    }

    private func connections(_ server: MemoryKnobs.Server) -> Part {
        Part(
            name: "connections", phase: .load, byteCount: server.connections * costs.connection,
            formula: "\(server.connections) × \(costs.connection) bytes")
    }

    /// Texts of a segment as they were read, their vectors, and both as the statement that stores them.
    private var segments: Part {
        let texts = MemoryArithmetic.textsOfSegment
        let bytes = 2 * knobs.jobs.segmentBytes + texts * (costs.queuedText + 2 * vectorByteCount)
        return Part(
            name: "job_segments", phase: .load, byteCount: knobs.jobs.workers * bytes,
            formula:
                "\(counted(knobs.jobs.workers, "worker")) × (2 × \(knobs.jobs.segmentBytes) bytes + \(texts) texts' vectors)"
        )
    }

    /// As `Storage` cuts jobs.
    private static let textsOfSegment = 256

    // MARK: Start

    /// What the file's largest tensor takes beside its copy; then the float32 layers, and after them those that serve.
    var start: [MemoryPlan.Part] {
        let largest = max(model.exactLayerByteCount, model.layerByteCount)
        let words = model.tableByteCounts.max() ?? 0
        let reading = max(largest + model.readingByteCount, words)
        return [
            runtime(.start), embeddingTables(.start), tokenizer(.start),
            Part(
                name: "reading", phase: .start, byteCount: reading,
                formula: "layers in float32, then those that serve, with what packing takes; or the file's word rows"),
        ]
    }

    private func counted(_ count: Int, _ name: String) -> String {
        count == 1 ? "1 \(name)" : "\(count) \(name)s"
    }
}
