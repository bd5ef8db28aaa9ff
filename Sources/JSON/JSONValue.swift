/// A JSON text as a value (RFC 8259).
///
/// Ours rather than Foundation's for three reasons: a string with a lone surrogate spoils only the value that holds it,
/// so one bad document of a request fails alone; numbers keep their digits; and errors name the byte.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
    /// A value that is JSON by its grammar but not Unicode text: a string, or an object with a key, that holds a lone
    /// surrogate or bytes that are not UTF-8. The associated text says which, and is safe to send to a client.
    case malformed(reason: String)

    /// Strings and keys are compared by their scalars, numbers by value.
    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.string(let left), .string(let right)): ExactText(left) == ExactText(right)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        case (.malformed(let left), .malformed(let right)): left == right
        default: false
        }
    }
}

/// A number as it was written, and the nearest double.
package struct JSONNumber: Sendable, Equatable {
    /// The digits of the JSON text, for example `1e400` or `12345678901234567890`.
    package let literal: String
    /// Infinite where the literal is beyond a double's range.
    package let value: Double

    package init(literal: String, value: Double) {
        self.literal = literal
        self.value = value
    }

    package init(_ value: Double) {
        self.init(literal: "\(value)", value: value)
    }

    package init(_ value: Int) {
        self.init(literal: "\(value)", value: Double(value))
    }

    /// The exact integer, if the literal is one (no fraction, no exponent) that fits.
    package var integer: Int? { Int(literal) }

    package static func == (left: JSONNumber, right: JSONNumber) -> Bool {
        left.value == right.value && (left.integer == right.integer)
    }
}

/// The members of a JSON object in the order they were written. Where a key comes twice, the last one counts.
package struct JSONObject: Sendable, Equatable {
    package struct Member: Sendable {
        package let key: String
        package var value: JSONValue
    }

    package internal(set) var members: [Member] = []

    package init() {}

    package init(_ members: KeyValuePairs<String, JSONValue>) {
        for (key, value) in members { self[key] = value }
    }

    package var isEmpty: Bool { members.isEmpty }

    package subscript(key: String) -> JSONValue? {
        get { members.last { ExactText($0.key) == ExactText(key) }?.value }
        set {
            members.removeAll { ExactText($0.key) == ExactText(key) }
            if let newValue { members.append(Member(key: key, value: newValue)) }
        }
    }

    /// The same keys in the same order, each with its new value.
    package func mapValues(_ transform: (JSONValue) -> JSONValue) -> JSONObject {
        var result = self
        for index in members.indices { result.members[index].value = transform(members[index].value) }
        return result
    }

    /// Two objects are equal where they hold the same members, in any order.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.members.count == right.members.count else { return false }
        let values = Dictionary(right.members.map { (ExactText($0.key), $0.value) }, uniquingKeysWith: { $1 })
        return left.members.allSatisfy { values[ExactText($0.key)] == $0.value }
    }
}

extension JSONValue {
    package var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    package var array: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    package var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    package var number: JSONNumber? {
        if case .number(let value) = self { value } else { nil }
    }

    package var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// What a reader of an error message calls this value's type.
    package var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        case .malformed: "malformed text"
        }
    }
}
