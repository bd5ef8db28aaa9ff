import ArgumentParser

/// What belongs to the model and its queue only where they are served.
struct ServingOptions: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: "Name under which requests may ask for the model; may be given several times. Default: the folder's name."
    )
    var servedModelName: [String] = []

    @Option(
        help: "Tokens that all admitted texts may hold together. Default: what one request may hold, at least 262144.")
    var maxQueuedTokens: Int?

    @Option(
        help: "Seconds that a request may have to wait for what was asked before it; beyond them it is answered 429.")
    var maxQueueWait: Int = 30

    @Option(
        help: """
            Texts that all requests under way may hold together. Default: one for every 64 of --max-queued-tokens, at \
            least --max-inputs.
            """)
    var maxQueuedTexts: Int?

    mutating func validate() throws {
        if let maxQueuedTexts { try requireRange(1...(1 << 32), of: "--max-queued-texts", maxQueuedTexts) }
        if let maxQueuedTokens { try requireRange(1...(1 << 40), of: "--max-queued-tokens", maxQueuedTokens) }
        try requireRange(1...86_400, of: "--max-queue-wait", maxQueueWait)
    }
}

/// What a server's queue takes.
struct Admission: Sendable {
    /// Inputs of one request.
    let maximumInputs: Int
    /// Tokens of all admitted inputs; nil for the default.
    let maximumQueuedTokens: Int?
    /// How long a request may have to wait for what was asked before it.
    let maximumQueueWait: Duration
}
