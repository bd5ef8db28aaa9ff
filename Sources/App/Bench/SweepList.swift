import ArgumentParser

/// Sizes that a sweep goes through, parted by commas: `1,2,4`.
package struct SweepList: Sendable, Equatable {
    /// Each once, in ascending order; at least one.
    package let values: [Int]

    /// A chart draws one line for each.
    package static let maximumCount = Chart.maximumSeriesCount

    /// - Throws: a validation error that says what the value may be; the parser adds the option's name.
    package init(_ text: String, range: ClosedRange<Int>) throws {
        var values: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let trimmed = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
            guard let value = Int(String(trimmed)) else {
                throw ValidationError("'\(part)' is not a whole number; it takes numbers parted by commas, as 1,2,4")
            }
            guard range.contains(value) else {
                throw ValidationError("\(value) is outside \(range.lowerBound) to \(range.upperBound)")
            }
            guard !values.contains(value) else { throw ValidationError("\(value) stands there twice") }
            values.append(value)
        }
        guard values.count <= Self.maximumCount else {
            throw ValidationError("\(values.count) values are too many; it takes 1 to \(Self.maximumCount)")
        }
        self.values = values.sorted()
    }
}
