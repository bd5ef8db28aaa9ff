import Batching

/// Why a start is refused, and what would let it go on.
struct MemoryRefusal {
    /// The settings as they were asked for.
    let wanted: MemoryKnobs
    /// The same with everything lowered that nobody chose.
    let least: MemoryKnobs
    let given: Set<MemorySetting>
    let allowance: MemoryAllowance

    private var limit: Int { allowance.byteCount }

    /// One sentence that names the need, the limit, and which number to lower to what.
    var sentence: String {
        let advice = advice(wanted) ?? advice(least)
        let need = ByteSize(byteCount: MemoryPlan(advice == nil ? least : wanted).peakByteCount)
        let head =
            "these settings need \(need) of memory at their peak, and the limit is \(ByteSize(byteCount: limit)) (\(source))"
        if let advice {
            return "\(head): lower \(advice.setting.rawValue) from \(advice.from) to \(advice.to), "
                + "or raise the limit to \(need)"
        }
        let chosen = given.filter { least.value(of: $0) != nil }.map(\.rawValue).sorted()
        return chosen.isEmpty
            ? "\(head): raise the limit to \(need), or take a smaller model"
            : "\(head), and lowering one of \(chosen.joined(separator: ", ")) alone is not enough: lower several, or raise "
                + "the limit to \(need)"
    }

    private struct Advice {
        let setting: MemorySetting
        let from: Int
        let to: Int
        let savedByteCount: Int
    }

    /// Of the settings that somebody chose the one that takes most, and can be lowered far enough; where there is none,
    /// of those that no start lowers by itself.
    private func advice(_ knobs: MemoryKnobs) -> Advice? {
        let advices = MemorySetting.allCases.compactMap { setting -> Advice? in
            guard let value = knobs.value(of: setting),
                let largest = MemoryFit.largest(setting, of: knobs, within: limit, to: value), largest < value
            else { return nil }
            var lowest = knobs
            lowest.set(setting, to: knobs.floor(of: setting))
            let saved = MemoryPlan(knobs).peakByteCount - MemoryPlan(lowest).peakByteCount
            return Advice(setting: setting, from: value, to: largest, savedByteCount: saved)
        }
        let chosen = advices.filter { given.contains($0.setting) }
        let others = advices.filter { !$0.setting.isLoweredAlone }
        return (chosen.isEmpty ? others : chosen).max { $0.savedByteCount < $1.savedByteCount }
    }

    private var source: String {
        switch allowance.source {
        case .option: "--memory-limit"
        case .controlGroup: "of the control group"
        case .physicalMemory: "all that the machine has"
        }
    }
}
