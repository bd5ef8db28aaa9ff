import Embeddings
import JSON

/// What `MetadataFilter+SQL` asks of the database, decided here for documents in memory.
extension MetadataFilter {
    func matches(_ metadata: JSONObject) -> Bool {
        switch self {
        case .equals(let path, let scalar): metadata.value(at: path)?.isSame(as: scalar.json) ?? false
        case .differs(let path, let scalar):
            metadata.value(at: path).map { $0.hasType(of: scalar.json) && !$0.isSame(as: scalar.json) } ?? false
        case .anyOf(let path, let scalars):
            metadata.value(at: path).map { value in scalars.contains { value.isSame(as: $0.json) } } ?? false
        case .compares(let path, let comparison, let scalar):
            metadata.value(at: path).map { comparison.holds(between: $0, and: scalar) } ?? false
        case .exists(let path, let wanted): (metadata.value(at: path) != nil) == wanted
        case .and(let filters): filters.allSatisfy { $0.matches(metadata) }
        case .or(let filters): filters.contains { $0.matches(metadata) }
        case .not(let filter): !filter.matches(metadata)
        }
    }
}

extension MetadataFilter.Comparison {
    fileprivate func holds(between value: JSONValue, and scalar: MetadataScalar) -> Bool {
        switch (value, scalar) {
        case (.number(let left), .number(let right)): holds(between: ExactNumber(left), and: ExactNumber(right))
        case (.string(let left), .string(let right)): holds(between: ExactText(left), and: ExactText(right))
        default: false
        }
    }

    private func holds<Value: Comparable>(between left: Value, and right: Value) -> Bool {
        switch self {
        case .greater: left > right
        case .greaterOrEqual: left >= right
        case .less: left < right
        case .lessOrEqual: left <= right
        }
    }
}

extension MetadataScalar {
    /// The scalar as a value of metadata, as it would be stored.
    var json: JSONValue {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let number): .number(number.storable)
        case .string(let text): .string(text)
        }
    }
}

extension JSONObject {
    /// Steps from object to object; an array has no named fields.
    fileprivate func value(at path: FieldPath) -> JSONValue? {
        var current = JSONValue.object(self)
        for component in path.components {
            guard let next = current.object?.value(exactly: component) else { return nil }
            current = next
        }
        return current
    }
}

extension JSONValue {
    fileprivate func hasType(of other: JSONValue) -> Bool { typeName == other.typeName }
}
