package import Batching
package import JSON

/// What `ovenbird plan` tells.
package struct PlanReport: Sendable {
    package let plan: MemoryPlan
    package let allowance: MemoryAllowance
    package let knobs: MemoryKnobs
    /// What a start would lower.
    package let lowered: [MemorySetting]
    /// Why a start would refuse these settings, if it would.
    package let refusal: String?
    /// Tokens of the text that figures are told for.
    package let tokensOfText: Int
    /// Measured, all threads together; nil where it was not asked for.
    package let tokensPerSecond: Double?

    private static let largestBatchTokens = 1_048_576
    private static let largestQueuedTokens = 1 << 40

    /// - Parameters:
    ///   - knobs: as the options have them.
    ///   - given: those of them that somebody chose.
    package init(
        _ knobs: MemoryKnobs, given: Set<MemorySetting>, allowance: MemoryAllowance, tokensOfText: Int,
        tokensPerSecond: Double?
    ) {
        do throws(CommandFailure) {
            let fit = try MemoryFit(knobs, given: given, allowance: allowance)
            (self.knobs, plan, lowered, refusal) = (fit.knobs, fit.plan, fit.lowered, nil)
        } catch {
            (self.knobs, plan, lowered, refusal) = (knobs, MemoryPlan(knobs), [], error.message)
        }
        self.allowance = allowance
        self.tokensOfText = tokensOfText
        self.tokensPerSecond = tokensPerSecond
    }

    /// The largest values that fit, with everything else as it is in force; nil where none does.
    private var largestBatch: Int? {
        knobs.value(of: .batchTokens).flatMap { _ in
            MemoryFit.largest(.batchTokens, of: knobs, within: allowance.byteCount, to: Self.largestBatchTokens)
        }
    }
    private var largestQueue: Int? {
        knobs.value(of: .queuedTokens).flatMap { _ in
            MemoryFit.largest(.queuedTokens, of: knobs, within: allowance.byteCount, to: Self.largestQueuedTokens)
        }
    }

    /// Bytes that one more text of `tokensOfText` costs a batch: its rows where the batch is walked in one part, and in
    /// a larger one its ids and vectors alone.
    private var textOfSmallBatch: Int { tokensOfText * knobs.model.rowByteCount + textOfLargeBatch }
    private var textOfLargeBatch: Int {
        MemoryArithmetic(knobs: knobs, costs: MemoryCosts()).oneMoreTextOfBatch(tokens: tokensOfText)
    }

    // MARK: For programs

    package var json: JSONObject {
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        var settings = JSONObject()
        for setting in MemorySetting.allCases {
            if let value = knobs.value(of: setting) { settings[setting.fieldName] = number(value) }
        }
        var object = JSONObject([
            "parts": .array(
                plan.parts.map { part in
                    [
                        "name": .string(part.name), "phase": .string(part.phase.rawValue),
                        "bytes": number(part.byteCount), "formula": .string(part.formula),
                    ]
                }),
            "idle_bytes": number(plan.idleByteCount), "load_bytes": number(plan.loadByteCount),
            "start_bytes": number(plan.startByteCount), "peak_bytes": number(plan.peakByteCount),
            "limit_bytes": number(allowance.byteCount), "limit_source": .string(allowance.source.rawValue),
            "fits": .bool(refusal == nil), "refusal": refusal.map { .string($0) } ?? .null,
            "settings": .object(settings), "lowered": .array(lowered.map { .string($0.rawValue) }),
            "largest_max_batch_tokens": largestBatch.map(number) ?? .null,
            "largest_max_queued_tokens": largestQueue.map(number) ?? .null,
            "text": [
                "tokens": number(tokensOfText), "bytes_in_a_small_batch": number(textOfSmallBatch),
                "bytes_in_a_large_batch": number(textOfLargeBatch), "rows_of_a_part": number(knobs.model.passRowCount),
            ],
        ])
        if let tokensPerSecond {
            object["tokens_per_second"] = .number(JSONNumber(tokensPerSecond.rounded()))
            object["texts_per_second"] = .number(
                JSONNumber((tokensPerSecond / Double(tokensOfText) * 10).rounded() / 10))
        }
        return object
    }

    // MARK: For people

    package var text: String {
        var rows: [(name: String, size: String, formula: String)] = []
        func add(_ phase: MemoryPlan.Part.Phase, sum: String, _ byteCount: Int, _ meaning: String) {
            for part in plan.parts where part.phase == phase {
                rows.append(
                    (part.name.split(separator: "_").joined(separator: " "), mebibytes(part.byteCount), part.formula))
            }
            rows.append((sum, mebibytes(byteCount), meaning))
        }
        add(.idle, sum: "IDLE", plan.idleByteCount, "serving, with nothing to do")
        add(.load, sum: "FULL LOAD", plan.loadByteCount, "with every queue, batch, body and connection filled")
        add(.start, sum: "START", plan.startByteCount, "while the model is read")
        rows.append(("PEAK", mebibytes(plan.peakByteCount), "predicted peak resident memory"))
        rows.append(("LIMIT", mebibytes(allowance.byteCount), limitSource))
        let (names, sizes) = (rows.map(\.name.count).max() ?? 0, rows.map(\.size.count).max() ?? 0)
        var lines = ["part".padded(to: names) + "  " + "MiB".padded(before: sizes)]
        lines += rows.map { $0.name.padded(to: names) + "  " + $0.size.padded(before: sizes) + "  " + $0.formula }
        return (lines + [""] + facts).joined(separator: "\n")
    }

    private var facts: [String] {
        var lines: [String] = []
        for setting in lowered {
            lines.append("\(setting.rawValue) is lowered to \(knobs.value(of: setting) ?? 0), so that all of it fits")
        }
        if let refusal { lines.append("a start is refused: \(refusal)") }
        if let largestBatch { lines.append("largest --max-batch-tokens that fits   \(largestBatch)") }
        if let largestQueue { lines.append("largest --max-queued-tokens that fits  \(largestQueue)") }
        lines.append(
            "one more text of \(tokensOfText) tokens in a batch costs \(textOfSmallBatch) bytes up to \(knobs.model.passRowCount) "
                + "rows, and \(textOfLargeBatch) beyond")
        if let tokensPerSecond {
            let texts = tokensPerSecond / Double(tokensOfText)
            lines.append(
                "measured: \(Int(tokensPerSecond.rounded())) tokens a second, \((texts * 10).rounded() / 10) such texts"
            )
        }
        return lines
    }

    private var limitSource: String {
        switch allowance.source {
        case .option: "--memory-limit"
        case .controlGroup: "the control group's"
        case .physicalMemory: "all that the machine has"
        }
    }

    private func mebibytes(_ byteCount: Int) -> String {
        let tenths = (Double(byteCount) / 104_857.6).rounded() / 10
        return "\(tenths)"
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
    fileprivate func padded(before width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
