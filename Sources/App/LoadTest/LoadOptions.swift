import ArgumentParser

/// Who asks, how often, and for what.
struct LoadOptions: ParsableArguments {
    @Option(help: "Closed loop: so many users, each of whom asks again when it has its answer. Default: 8.")
    var users: Int?

    @Option(help: "Open loop: so many requests a second (Poisson arrivals), whatever becomes of them.")
    var rate: Double?

    @Option(
        help: ArgumentHelp(
            "Closed loops of these many users in turn, each with its own warm-up and duration, as 1,2,4,8,16,32,64,128.",
            valueName: "users"),
        transform: { try SweepList($0, range: ClientKind.usersRange) })
    var sweepUsers: SweepList?

    @Option(
        name: .customLong("client"), parsing: .singleValue,
        help: ArgumentHelp(
            """
            One of several kinds of clients at once, as 'bulk users=8 texts=32 priority=bulk': a name, then users=N \
            (with think-ms=N between an answer and the next request) or rate=R, texts=N (a request), words=MIX or \
            input=FILE (as --words and --input, for this kind alone), priority=P, deadline-ms=N \
            (X-Request-Timeout-Ms), key-file=FILE; may be given several times.
            """,
            valueName: "kind"),
        transform: { try ClientKind(parsing: $0) })
    var clients: [ClientKind] = []

    @Option(help: "Texts that a request holds. Default: 1.")
    var textsPerRequest: Int?

    @Option(help: "What the body's priority says, as interactive or bulk. Default: none is sent.")
    var priority: String?

    mutating func validate() throws {
        if let users { try requireRange(ClientKind.usersRange, of: "--users", users) }
        if let rate, !ClientKind.rateRange.contains(rate) {
            throw ValidationError(
                "--rate is \(rate); it takes \(ClientKind.rateRange.lowerBound) to \(Int(ClientKind.rateRange.upperBound)) requests a second"
            )
        }
        if let textsPerRequest { try requireRange(ClientKind.textsRange, of: "--texts-per-request", textsPerRequest) }
        if let priority {
            do { _ = try ClientKind.priority(priority) } catch let error as ValidationError {
                throw ValidationError("--priority: \(error.message)")
            }
        }
        try validateLoops()
    }

    private func validateLoops() throws {
        let given = [
            ("--users", users != nil), ("--rate", rate != nil), ("--sweep-users", sweepUsers != nil),
            ("--client", !clients.isEmpty),
        ].filter(\.1).map(\.0)
        guard given.count < 2 else {
            throw ValidationError("\(given[0]) and \(given[1]) each say who asks; one of them is enough")
        }
        guard !clients.isEmpty else { return }
        if textsPerRequest != nil { throw ValidationError("--texts-per-request: a --client says its own, as texts=32") }
        if priority != nil { throw ValidationError("--priority: a --client says its own, as priority=bulk") }
        guard clients.count <= ClientKind.maximumCount else {
            throw ValidationError("--client is given \(clients.count) times; at most \(ClientKind.maximumCount) kinds")
        }
        for (place, kind) in clients.enumerated() where clients[..<place].contains(where: { $0.name == kind.name }) {
            throw ValidationError("--client: two kinds have the name '\(kind.name)'")
        }
    }

    /// At least one; for a sweep, the kind whose users are swept.
    var kinds: [ClientKind] {
        guard clients.isEmpty else { return clients }
        let loop: ClientKind.Loop = rate.map { .open(rate: $0) } ?? .closed(users: users ?? 8)
        return [ClientKind(name: "all", loop: loop, textsPerRequest: textsPerRequest ?? 1, priority: priority)]
    }

    /// Connections that a load begins with, at most: one for each user, and a few for each open loop.
    var startConnectionCount: Int {
        if let sweepUsers { return sweepUsers.values.last ?? 0 }
        return kinds.reduce(0) { $0 + $1.loop.startConnectionCount }
    }
}

/// What the texts are, and what answers look like.
struct LoadTextOptions: ParsableArguments {
    @Option(
        help: "Texts: NDJSON lines {\"text\"}, or one text a line; blank lines are left out. Default: made-up ones.")
    var input: String?

    @Option(
        help: ArgumentHelp(
            "Made-up texts of so many words by weight. Default: 8:60,40:30,160:10.", valueName: "words:weight,…"),
        transform: { try LengthMix($0) })
    var words: LengthMix?

    @Option(help: "Of the order of texts, made-up texts and arrivals: the same seed, the same load.")
    var seed: UInt64 = 1

    @Option(help: "How vectors are asked for: base64, as OpenAI's clients do, or float.")
    var encoding: LoadPlan.Encoding = .base64

    @Flag(help: "Read every answer whole and check its vectors; costs processor time.")
    var check = false

    mutating func validate() throws {
        if input != nil, words != nil {
            throw ValidationError("--input and --words each say what the texts are; one of them is enough")
        }
    }

    func texts() throws(CommandFailure) -> LoadTexts {
        guard let input else { return try texts(of: .words(words ?? .standard)) }
        return try texts(of: .file(input))
    }

    func texts(of source: ClientKind.TextSource) throws(CommandFailure) -> LoadTexts {
        switch source {
        case .file(let path): LoadTexts(try LoadTexts.read(path: path), seed: seed)
        case .words(let mix): LoadTexts(mix.texts(seed: seed), seed: seed)
        }
    }
}

/// What a load may cost at most.
struct LoadBoundOptions: ParsableArguments {
    @Option(help: "Seconds that are measured.")
    var duration: Int = 10

    @Option(help: "Seconds of the same load before them.")
    var warmUp: Int = 1

    @Option(help: "Seconds after which a request counts as unanswered; also how long the last answers are waited for.")
    var requestTimeout: Int = 60

    @Option(help: "Requests of a run at most; then it ends.")
    var maxRequests: Int = 1_000_000

    @Option(help: "Connections at most. A request that finds none waits, and its latency with it.")
    var maxConnections: Int = 1_024

    @Option(help: "Milliseconds after which an answer does no good: goodput goes without it. Default: any is good.")
    var sloMs: Int?

    @Option(help: "What a closed loop's user does when refused: honour the server's Retry-After, or ignore it.")
    var retryAfter: LoadPlan.RetryAfter = .honour

    mutating func validate() throws {
        try requireRange(1...3_600, of: "--duration", duration)
        try requireRange(0...3_600, of: "--warm-up", warmUp)
        try requireRange(1...3_600, of: "--request-timeout", requestTimeout)
        try requireRange(1...100_000_000, of: "--max-requests", maxRequests)
        try requireRange(1...16_384, of: "--max-connections", maxConnections)
        if let sloMs { try requireRange(1...3_600_000, of: "--slo-ms", sloMs) }
    }

    func bound(_ plan: inout LoadPlan) {
        plan.duration = .seconds(duration)
        plan.warmUp = .seconds(warmUp)
        plan.requestTimeout = .seconds(requestTimeout)
        plan.maximumRequestCount = maxRequests
        plan.maximumConnectionCount = maxConnections
        plan.goodLatency = sloMs.map { .milliseconds($0) }
        plan.retryAfter = retryAfter
    }
}

extension LoadPlan.Encoding: ExpressibleByArgument {}
extension LoadPlan.RetryAfter: ExpressibleByArgument {}
