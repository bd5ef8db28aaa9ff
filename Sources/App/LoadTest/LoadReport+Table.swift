import Foundation

extension LoadReport {
    /// For people: a line of names, one for each kind of clients or each size of a sweep, and what else there is to say.
    package var table: String {
        var lines: [String] = []
        switch runs {
        case .one(let outcome):
            lines = [Self.line("CLIENTS", Self.heading)]
            lines += outcome.lanes.map { Self.line("\($0.kind.name), \($0.kind.loopText)", Self.cells($0.tally)) }
            lines += outcome.lanes.flatMap { Self.remarks($0) } + Self.remarks(outcome)
        case .sweep(let runs):
            lines = [Self.line("USERS", Self.heading)]
            lines += runs.map { run in
                Self.line("\(run.users)", run.outcome.lanes.first.map { Self.cells($0.tally) } ?? [])
            }
            let remarks = runs.flatMap { run in
                (run.outcome.lanes.flatMap { Self.remarks($0) } + Self.remarks(run.outcome)).map {
                    "\(run.users): \($0)"
                }
            }
            lines += remarks
        }
        return lines.joined(separator: "\n")
    }

    private static let heading = [
        "REQUESTS", "TEXTS/S", "TOKENS/S", "P50 MS", "P90 MS", "P99 MS", "P99.9 MS", "MAX MS", "REFUSED", "ERRORS",
    ]

    private static func cells(_ tally: LoadTally) -> [String] {
        let latency = tally.latency
        let times = [0.5, 0.9, 0.99, 0.999].map { latency.milliseconds($0) } + [latency.greatestMilliseconds]
        return ["\(tally.requestCount)", decimal(tally.textsPerSecond), tally.tokensPerSecond.map(decimal) ?? "-"]
            + times.map { $0.map(decimal) ?? "-" } + ["\(tally.refusedCount)", "\(tally.errorCount)"]
    }

    private static func line(_ name: String, _ cells: [String]) -> String {
        let first = name.padding(toLength: max(name.count, 28), withPad: " ", startingAt: 0)
        return ([first] + cells.map { String(repeating: " ", count: max(0, 8 - $0.count)) + $0 }).joined(
            separator: "  ")
    }

    /// Three figures that count, as many decimals as they take.
    private static func decimal(_ value: Double) -> String {
        String(format: value < 10 ? "%.2f" : value < 1_000 ? "%.1f" : "%.0f", value)
    }

    private static func remarks(_ lane: LoadOutcome.Lane) -> [String] {
        let tally = lane.tally
        var lines: [String] = []
        for (refusal, figures) in tally.sortedRefusals {
            var line = "refused \(figures.count) × \(refusal.status)" + (refusal.code.isEmpty ? "" : " \(refusal.code)")
            line += ", \(figures.usableRetryAfterCount) with a Retry-After of 1 to 120 s"
            if let least = figures.leastPause, let greatest = figures.greatestPause {
                line += "; to wait \(decimal(Double(seconds: least))) to \(decimal(Double(seconds: greatest))) s"
            }
            lines.append(line)
        }
        lines += tally.sortedErrors.map { "failed \($1) × \($0)" }
        if tally.unsentCount > 0 {
            lines.append("\(tally.unsentCount) requests were wanted and never sent: no connection was free in time")
        }
        if let error = tally.etaError.quantile(0.5), let late = tally.etaExcess.milliseconds(0.99) {
            lines.append(
                "X-Queue-Eta-Ms on \(tally.etaError.count) answers: median error \(decimal(Double(error) / 100)) %; "
                    + "99 % of them not later than promised by more than \(decimal(late)) ms")
        }
        return lines.map { "\(lane.kind.name): \($0)" }
    }

    private static func remarks(_ outcome: LoadOutcome) -> [String] {
        let cores = Double(seconds: outcome.processorTime) / max(outcome.seconds, 1e-9)
        let requests = outcome.lanes.reduce(0) { $0 + $1.tally.windowRequestCount }
        var line = "measured \(decimal(outcome.seconds)) s; this generator took \(decimal(100 * cores)) % of one core"
        if requests > 0 {
            line += ", \(decimal(Double(milliseconds: outcome.processorTime) / Double(requests))) ms a request"
        }
        switch outcome.end {
        case .duration: break
        case .interrupted: line += "; interrupted, with \(outcome.abandonedCount) requests under way"
        case .requests: line += "; it ended because --max-requests were sent"
        }
        return [line]
    }
}

extension ClientKind {
    /// How latencies are to be read, too: see the command's help.
    fileprivate var loopText: String {
        let texts = textsPerRequest == 1 ? "1 text" : "\(textsPerRequest) texts"
        return switch loop {
        case .closed(let users): "closed, \(users) × \(texts)"
        case .open(let rate): "open, \(rate)/s × \(texts)"
        }
    }
}
