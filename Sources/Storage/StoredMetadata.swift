package import JSON

extension JSONValue {
    /// The value as it is stored; see `JSONNumber.storable`.
    var storable: JSONValue {
        switch self {
        case .number(let number): .number(number.storable)
        case .array(let elements): .array(elements.map(\.storable))
        case .object(let object): .object(object.storable)
        case .null, .bool, .string, .malformed: self
        }
    }

    /// Whether `jsonb` holds the two to be equal: numbers by value, strings by bytes, objects without regard to order.
    func isSame(as other: JSONValue) -> Bool {
        switch (self, other) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): ExactNumber(left) == ExactNumber(right)
        case (.string(let left), .string(let right)): ExactText(left) == ExactText(right)
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.isSame(as: $1) }
        case (.object(let left), .object(let right)): left.isSame(as: right)
        default: false
        }
    }
}

extension JSONObject {
    /// The object as it is stored; see `JSONNumber.storable`.
    var storable: JSONObject { mapValues(\.storable) }

    /// Whether `jsonb` holds the two to be equal.
    package func isSame(as other: JSONObject) -> Bool {
        guard members.count == other.members.count else { return false }
        let values = Dictionary(other.members.map { (ExactText($0.key), $0.value) }, uniquingKeysWith: { $1 })
        return members.allSatisfy { values[ExactText($0.key)]?.isSame(as: $0.value) ?? false }
    }

    /// The member whose key has exactly these bytes.
    func value(exactly key: String) -> JSONValue? {
        members.last { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }
}
