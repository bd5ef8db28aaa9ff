import Embeddings

/// How the inputs of one append are cut into segments: up to 256 inputs and 512 KiB of text each; a single longer text is
/// a segment alone. Depends on nothing but the inputs, so the same call cuts the same way again.
struct SegmentPlan: Sendable, Equatable {
    static let maximumInputs = 256
    static let maximumBytes = 512 * 1_024

    /// The inputs' places in the call.
    var range: Range<Int>
    /// Of its texts, in UTF-8.
    var byteCount: Int
    /// The places of the inputs that have a text.
    var valid: [Int]

    static func plans(for inputs: [JobInput]) -> [SegmentPlan] {
        var plans: [SegmentPlan] = []
        for (place, input) in inputs.enumerated() {
            let byteCount = (try? input.content.get())?.text.utf8.count
            let fits =
                if let last = plans.last {
                    last.range.count < maximumInputs && last.byteCount + (byteCount ?? 0) <= maximumBytes
                } else {
                    false
                }
            if !fits { plans.append(SegmentPlan(range: place..<place, byteCount: 0, valid: [])) }
            let index = plans.count - 1
            plans[index].range = plans[index].range.lowerBound..<place + 1
            plans[index].byteCount += byteCount ?? 0
            if byteCount != nil { plans[index].valid.append(place) }
        }
        return plans
    }
}
