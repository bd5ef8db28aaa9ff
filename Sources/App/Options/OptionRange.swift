import ArgumentParser

/// Refuses an option's value outside its range; the message names the option, the value and the range.
func requireRange(_ range: ClosedRange<Int>, of option: String, _ value: Int) throws {
    guard range.contains(value) else {
        throw ValidationError("\(option) is \(value); it takes \(range.lowerBound) to \(range.upperBound)")
    }
}
