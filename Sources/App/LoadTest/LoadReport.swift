package import JSON

/// One load test, or one for each size of a sweep, as it is printed, drawn and handed on.
package struct LoadReport: Sendable {
    /// What held for every run.
    package struct Setting: Sendable {
        /// What a chart calls it.
        package var label: String
        package var url: String
        package var model: String
        package var encoding: LoadPlan.Encoding
        package var seed: UInt64
        /// Distinct texts.
        package var textCount: Int
        package var goodLatency: Duration?

        package init(
            label: String, url: String, model: String, encoding: LoadPlan.Encoding, seed: UInt64, textCount: Int,
            goodLatency: Duration? = nil
        ) {
            self.label = label
            self.url = url
            self.model = model
            self.encoding = encoding
            self.seed = seed
            self.textCount = textCount
            self.goodLatency = goodLatency
        }
    }

    package enum Runs: Sendable {
        case one(LoadOutcome)
        case sweep([(users: Int, outcome: LoadOutcome)])
    }

    package let setting: Setting
    package let runs: Runs

    package init(setting: Setting, runs: Runs) {
        self.setting = setting
        self.runs = runs
    }

    package var outcomes: [LoadOutcome] {
        switch runs {
        case .one(let outcome): [outcome]
        case .sweep(let runs): runs.map(\.outcome)
        }
    }

    // MARK: For programs

    package var json: JSONObject {
        var report = JSONObject([
            "label": .string(setting.label), "url": .string(setting.url), "model": .string(setting.model),
            "encoding": .string(setting.encoding.rawValue),
            "seed": .number(JSONNumber(literal: "\(setting.seed)", value: Double(setting.seed))),
            "texts": .number(JSONNumber(setting.textCount)),
            "good_latency_ms": .number(setting.goodLatency.map { Double(milliseconds: $0) }),
        ])
        switch runs {
        case .one(let outcome): report.append(outcome.json)
        case .sweep(let runs):
            report["sweep"] = .array(
                runs.map { run in
                    var object = JSONObject(["users": .number(JSONNumber(run.users))])
                    object.append(run.outcome.json)
                    return .object(object)
                })
        }
        return report
    }
}

extension LoadOutcome {
    var json: JSONObject {
        let requestCount = requestCount
        let cpuSeconds = Double(seconds: processorTime)
        let windowRequestCount = lanes.reduce(0) { $0 + $1.tally.windowRequestCount }
        return JSONObject([
            "began_at": .number(JSONNumber(beganAt)), "end": .string(end.rawValue),
            "seconds": .number(JSONNumber(seconds)),
            "requests": .number(JSONNumber(requestCount)),
            "requests_per_second": .number(JSONNumber(requestsPerSecond)),
            "texts_per_second": .number(JSONNumber(textsPerSecond)), "tokens_per_second": .number(tokensPerSecond),
            "good_texts_per_second": .number(JSONNumber(lanes.reduce(0) { $0 + $1.tally.goodTextsPerSecond })),
            "refused": .number(JSONNumber(lanes.reduce(0) { $0 + $1.tally.refusedCount })),
            "errors": .number(JSONNumber(lanes.reduce(0) { $0 + $1.tally.errorCount })),
            "abandoned": .number(JSONNumber(abandonedCount)),
            "generator": [
                "cpu_seconds": .number(JSONNumber(cpuSeconds)),
                "cores": .number(JSONNumber(cpuSeconds / max(seconds, 1e-9))),
                "cpu_ms_per_request": .number(
                    windowRequestCount == 0 ? nil : cpuSeconds * 1000 / Double(windowRequestCount)),
            ],
            "clients": .array(lanes.map { .object($0.json) }),
        ])
    }
}

extension LoadOutcome.Lane {
    var json: JSONObject {
        var object = JSONObject(["name": .string(kind.name)])
        switch kind.loop {
        case .closed(let users):
            object["loop"] = "closed"
            object["users"] = .number(JSONNumber(users))
        case .open(let rate):
            object["loop"] = "open"
            object["rate"] = .number(JSONNumber(rate))
        }
        object["texts_per_request"] = .number(JSONNumber(kind.textsPerRequest))
        object["priority"] = kind.priority.map { .string($0) } ?? .null
        object.append(tally.json)
        return object
    }
}

extension LoadTally {
    var json: JSONObject {
        JSONObject([
            "requests": .number(JSONNumber(requestCount)), "answered": .number(JSONNumber(answeredCount)),
            "unsent": .number(JSONNumber(unsentCount)),
            "requests_per_second": .number(JSONNumber(requestsPerSecond)),
            "texts_per_second": .number(JSONNumber(textsPerSecond)), "tokens_per_second": .number(tokensPerSecond),
            "good_texts_per_second": .number(JSONNumber(goodTextsPerSecond)), "latency_ms": latency.json,
            "uncorrected_latency_ms": uncorrectedLatency.json, "refusal_latency_ms": refusalLatency.json,
            "refusals": .array(sortedRefusals.map { .object(Self.json($0, $1)) }),
            "errors": .array(
                sortedErrors.map { ["error": .string($0), "count": .number(JSONNumber($1))] }),
            "queue_eta": [
                "answers": .number(JSONNumber(etaError.count)),
                "median_relative_error": .number(etaError.quantile(0.5).map { Double($0) / 1e4 }),
                "p90_relative_error": .number(etaError.quantile(0.9).map { Double($0) / 1e4 }),
                "greatest_ms": .number(greatestETAMilliseconds),
                "late_ms": etaExcess.json,
            ],
            "timeline": .array(timeline.seconds.enumerated().map { .object(Self.json($0, $1)) }),
        ])
    }

    /// The most frequent first.
    var sortedRefusals: [(Refusal, RefusalFigures)] {
        refusals.sorted { ($1.value.count, $0.key.status, $0.key.code) < ($0.value.count, $1.key.status, $1.key.code) }
            .map { ($0.key, $0.value) }
    }

    var sortedErrors: [(String, Int)] {
        errors.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
    }

    private static func json(_ refusal: Refusal, _ figures: RefusalFigures) -> JSONObject {
        JSONObject([
            "status": .number(JSONNumber(refusal.status)), "code": .string(refusal.code),
            "count": .number(JSONNumber(figures.count)),
            "with_usable_retry_after": .number(JSONNumber(figures.usableRetryAfterCount)),
            "least_retry_after_ms": .number(figures.leastPause.map { Double(milliseconds: $0) }),
            "greatest_retry_after_ms": .number(figures.greatestPause.map { Double(milliseconds: $0) }),
        ])
    }

    private static func json(_ place: Int, _ second: LoadTimeline.Second) -> JSONObject {
        JSONObject([
            "second": .number(JSONNumber(place)), "texts": .number(JSONNumber(second.textCount)),
            "refused": .number(JSONNumber(second.refusedCount)), "errors": .number(JSONNumber(second.failedCount)),
            "p50_ms": .number(second.latency.milliseconds(0.5)), "p99_ms": .number(second.latency.milliseconds(0.99)),
        ])
    }
}

extension LogHistogram {
    /// Quantiles of times; null where there are none.
    fileprivate var json: JSONValue {
        [
            "p50": .number(milliseconds(0.5)), "p90": .number(milliseconds(0.9)), "p99": .number(milliseconds(0.99)),
            "p99.9": .number(milliseconds(0.999)), "max": .number(greatestMilliseconds),
            "mean": .number(mean.map { $0 / 1e6 }),
        ]
    }
}

extension JSONValue {
    /// Null for nil.
    fileprivate static func number(_ value: Double?) -> JSONValue { value.map { .number(JSONNumber($0)) } ?? .null }
}

extension JSONObject {
    fileprivate mutating func append(_ other: JSONObject) {
        for member in other.members { self[member.key] = member.value }
    }
}
