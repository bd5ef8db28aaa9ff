package import Batching

/// Settings that fit a limit: the ones that were given as they are, the others lowered where need be.
package struct MemoryFit: Sendable {
    package let knobs: MemoryKnobs
    package let plan: MemoryPlan
    package let allowance: MemoryAllowance
    /// What was lowered, in the order in which it was.
    package let lowered: [MemorySetting]

    /// - Parameter given: settings that somebody chose: they are never changed.
    /// - Throws: one sentence that names the need, the limit, and which number to lower to what.
    package init(
        _ knobs: MemoryKnobs, given: Set<MemorySetting>, allowance: MemoryAllowance
    ) throws(CommandFailure) {
        let wanted = knobs
        var knobs = wanted
        var lowered: [MemorySetting] = []
        let limit = allowance.byteCount
        for setting in MemorySetting.allCases where setting.isLoweredAlone && !given.contains(setting) {
            guard MemoryPlan(knobs).peakByteCount > limit else { break }
            guard let value = knobs.value(of: setting), value > knobs.floor(of: setting) else { continue }
            let tiesBodies = setting == .bodyBytes && !given.contains(.bufferedBodyBytes)
            func changed(_ value: Int) -> MemoryKnobs {
                var changed = knobs
                changed.set(setting, to: value)
                // A few bodies at a time; how many more there is room for is seen in the end.
                if tiesBodies, let buffered = knobs.value(of: .bufferedBodyBytes) {
                    changed.set(.bufferedBodyBytes, to: min(buffered, 4 * value))
                }
                return changed
            }
            let floor = knobs.floor(of: setting)
            knobs = changed(Self.largest(from: floor, to: value, within: limit, changed) ?? floor)
            lowered.append(setting)
        }
        if lowered.contains(.bufferedBodyBytes), let ceiling = wanted.value(of: .bufferedBodyBytes),
            let largest = Self.largest(.bufferedBodyBytes, of: knobs, within: limit, to: ceiling)
        {
            knobs.set(.bufferedBodyBytes, to: largest)
        }
        let plan = MemoryPlan(knobs)
        guard plan.peakByteCount <= limit else {
            throw .usage(MemoryRefusal(wanted: wanted, least: knobs, given: given, allowance: allowance).sentence)
        }
        self.knobs = knobs
        self.plan = plan
        self.allowance = allowance
        self.lowered = lowered
    }

    /// The largest value of a setting, with the others as they are, at which the plan keeps within the limit; nil where
    /// none from its floor to `ceiling` does.
    package static func largest(
        _ setting: MemorySetting, of knobs: MemoryKnobs, within limit: Int, to ceiling: Int
    ) -> Int? {
        largest(from: knobs.floor(of: setting), to: ceiling, within: limit) { value in
            var changed = knobs
            changed.set(setting, to: value)
            return changed
        }
    }

    private static func largest(
        from floor: Int, to ceiling: Int, within limit: Int, _ changed: (Int) -> MemoryKnobs
    ) -> Int? {
        func fits(_ value: Int) -> Bool { MemoryPlan(changed(value)).peakByteCount <= limit }
        guard floor <= ceiling, fits(floor) else { return nil }
        guard !fits(ceiling) else { return ceiling }
        // More never takes less memory.
        var (low, high) = (floor, ceiling)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if fits(middle) { low = middle } else { high = middle }
        }
        return max(floor, rounded(low))
    }

    /// Down to a number that people can read, within a few per cent.
    private static func rounded(_ value: Int) -> Int {
        guard value > 4_096 else { return value }
        let step = 1 << (Int.bitWidth - 1 - value.leadingZeroBitCount - 5)
        return value / step * step
    }
}
