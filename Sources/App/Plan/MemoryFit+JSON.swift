import Batching
package import JSON

extension MemoryFit {
    /// What `/info` tells: the limit, what was predicted, and the settings in force.
    package func json(residentByteCount: Int?) -> JSONObject {
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        var object = JSONObject([
            "limit_bytes": number(allowance.byteCount), "limit_source": .string(allowance.source.rawValue),
            "planned_idle_bytes": number(plan.idleByteCount), "planned_peak_bytes": number(plan.peakByteCount),
            "resident_bytes": residentByteCount.map(number) ?? .null,
            "lowered": .array(lowered.map { .string($0.rawValue) }),
        ])
        for setting in MemorySetting.allCases {
            guard let value = knobs.value(of: setting) else { continue }
            object[setting.fieldName] = number(value)
        }
        return object
    }
}

extension MemorySetting {
    /// `max_queued_tokens`.
    package var fieldName: String { rawValue.dropFirst(2).split(separator: "-").joined(separator: "_") }
}
