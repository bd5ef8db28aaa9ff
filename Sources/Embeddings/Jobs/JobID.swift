/// `job_` and 24 of `0-9 a-z`, drawn at random.
package struct JobID: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    /// Nil for anything that is no job's id.
    package init?(_ text: String) {
        let allowed = text.utf8.dropFirst(4).allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        }
        guard text.hasPrefix("job_"), text.utf8.count == 28, allowed else { return nil }
        description = text
    }

    private init(unchecked text: String) {
        description = text
    }

    package static func random() -> JobID {
        let digits = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        return JobID(unchecked: "job_" + String((0..<24).map { _ in digits[Int.random(in: digits.indices)] }))
    }
}
