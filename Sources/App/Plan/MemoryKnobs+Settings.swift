/// A setting that memory depends on, and that can be lowered.
package enum MemorySetting: String, Sendable, CaseIterable {
    // In the order in which they are lowered where nobody chose them: first what only a crowd of clients would miss, then
    // bodies far larger than any that a client's library sends, since a body takes many times its bytes while it is
    // parsed; and queues, which take little, before what every client would miss.
    case bufferedBodyBytes = "--max-buffered-body-bytes"
    case bodyBytes = "--max-body-bytes"
    case queuedTexts = "--max-queued-texts"
    case queuedTokens = "--max-queued-tokens"
    case connections = "--max-connections"
    case inputs = "--max-inputs"
    case batchTokens = "--max-batch-tokens"
    case jobWorkers = "--job-workers"
    case databaseConnections = "--database-connections"
    case threads = "--threads"

    /// Whether a start may lower it where it was not given. The others change what a process does or how fast it is.
    var isLoweredAlone: Bool {
        switch self {
        case .bufferedBodyBytes, .bodyBytes, .queuedTexts, .queuedTokens, .connections, .inputs: true
        case .batchTokens, .jobWorkers, .databaseConnections, .threads: false
        }
    }
}

extension MemoryKnobs {
    /// Nil where the process has no such thing.
    package func value(of setting: MemorySetting) -> Int? {
        switch setting {
        case .bufferedBodyBytes: server?.bufferedBodyBytes
        case .queuedTexts: server == nil ? nil : queuedTexts
        case .queuedTokens: server == nil ? nil : queuedTokens
        case .bodyBytes: server?.bodyBytes
        case .connections: server?.connections
        case .inputs: server?.inputs
        case .batchTokens: batch.isStatic ? nil : batch.tokens
        case .jobWorkers: jobs.workers > 0 ? jobs.workers : nil
        case .databaseConnections: jobs.databaseConnections > 0 ? jobs.databaseConnections : nil
        case .threads: computeThreads
        }
    }

    /// - Precondition: the process has such a thing.
    package mutating func set(_ setting: MemorySetting, to value: Int) {
        switch setting {
        case .bufferedBodyBytes: server?.bufferedBodyBytes = value
        case .queuedTexts: queuedTexts = value
        case .queuedTokens: queuedTokens = value
        case .bodyBytes: server?.bodyBytes = value
        case .connections: server?.connections = value
        case .inputs: server?.inputs = value
        case .batchTokens:
            batch.tokens = value
            if !workspaceTokens.isEmpty { workspaceTokens[0] = max(value, model.sequenceLimit) }
        case .jobWorkers:
            if jobs.runnerConnections > 0 { jobs.runnerConnections += value - jobs.workers }
            jobs.workers = value
        case .databaseConnections: jobs.databaseConnections = value
        case .threads: computeThreads = value
        }
    }

    /// As low as it goes without the process becoming useless, or contradicting another setting.
    package func floor(of setting: MemorySetting) -> Int {
        switch setting {
        case .bufferedBodyBytes: server?.bodyBytes ?? 0
        case .queuedTexts: server.map { Self.leastQueuedTexts(inputs: $0.inputs) } ?? 1
        // A few seconds' work of a small model, and one request of as many paragraphs as it may hold.
        case .queuedTokens:
            max(model.sequenceLimit, 16_384, min(262_144, Self.tokensOfText * (server?.inputs ?? 0)))
        case .bodyBytes: 1 << 20
        case .connections: 64
        case .inputs: 64
        case .batchTokens: 64
        case .jobWorkers, .databaseConnections, .threads: 1
        }
    }

    /// Two requests of as many inputs as they may hold: with room for one, the second would always be refused. Where one
    /// may hold thousands more than OpenAI's, it is alone.
    private static func leastQueuedTexts(inputs: Int) -> Int { max(inputs, min(2 * inputs, 4_096)) }

    /// What a text is assumed to have where nobody says how many texts may wait: paragraphs have some 45 tokens, and
    /// pieces of documents 128 and more.
    static let tokensOfText = 64
}
