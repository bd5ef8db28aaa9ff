/// A query's parameters, each of them known and given once: a misspelt one must not be taken for a wish fulfilled.
struct QueryParameters {
    private var values: [String: String] = [:]

    init(_ query: String?, known: [String]) throws(RequestError) {
        for (name, value) in try QueryItems(query).items {
            guard known.contains(name) else {
                throw .invalidValue(
                    field: String(name.prefix(100)),
                    reason: known.isEmpty
                        ? "this path takes no parameters"
                        : "unknown parameter; known are \(known.joined(separator: ", "))")
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw .invalidValue(field: name, reason: "\(name) is given twice")
            }
        }
    }

    subscript(name: String) -> String? { values[name] }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(RequestError) -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .invalidValue(
                field: name, reason: "\(name) must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func boolean(_ name: String) throws(RequestError) -> Bool? {
        switch values[name] {
        case nil: return nil
        case "true": return true
        case "false": return false
        case .some: throw .invalidValue(field: name, reason: "\(name) must be true or false")
        }
    }

    /// One of an enumeration's words.
    func word<Word: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Word.Type
    ) throws(RequestError) -> Word? where Word.RawValue == String {
        guard let text = values[name] else { return nil }
        guard let word = Word(rawValue: text) else {
            let words = type.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalidValue(field: name, reason: "\(name) must be one of \(words)")
        }
        return word
    }
}
