import Embeddings
import JSON

/// The members of a request's JSON object, read with errors that name the field.
struct Fields {
    let object: JSONObject

    init(_ value: JSONValue) throws(RequestError) {
        switch value {
        case .object(let object): self.object = object
        case .malformed(let reason): throw .invalidValue(field: nil, reason: "the body is \(reason)")
        case .null, .bool, .number, .string, .array:
            throw .invalidValue(field: nil, reason: "the body must be a JSON object, not \(value.typeName)")
        }
    }

    /// The member, unless it is missing or null.
    subscript(name: String) -> JSONValue? {
        guard let value = object[name], value != .null else { return nil }
        return value
    }

    /// For calls where an overlooked member would do harm: a misspelt filter must not find or delete everything.
    func refuseOthers(than known: Set<String>) throws(RequestError) {
        for member in object.members where !known.contains(member.key) {
            throw .invalidValue(
                field: String(member.key.prefix(100)),
                reason: "unknown field; known are \(known.sorted().joined(separator: ", "))")
        }
    }

    func string(_ name: String) throws(RequestError) -> String? {
        guard let value = self[name] else { return nil }
        guard case .string(let text) = value else { throw Self.wrongType(name, value, wanted: "a string") }
        return text
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(RequestError) -> Int? {
        guard let value = self[name] else { return nil }
        guard case .number(let number) = value, let integer = number.integer, range.contains(integer) else {
            throw .invalidValue(
                field: name, reason: "\(name) must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    func array(_ name: String) throws(RequestError) -> [JSONValue]? {
        guard let value = self[name] else { return nil }
        guard case .array(let elements) = value else { throw Self.wrongType(name, value, wanted: "a list") }
        return elements
    }

    /// One of the words that `choices` holds.
    func choice<Choice>(_ name: String, _ choices: KeyValuePairs<String, Choice>) throws(RequestError) -> Choice? {
        guard let value = self[name] else { return nil }
        let words = choices.map { "'\($0.key)'" }.joined(separator: " or ")
        guard case .string(let text) = value, let choice = choices.first(where: { $0.key == text }) else {
            throw .invalidValue(field: name, reason: "\(name) must be \(words)")
        }
        return choice.value
    }

    /// Refuses a model that is not served.
    func checkModel(servedBy model: ModelDescription) throws(RequestError) {
        guard let name = try string("model") else { return }
        guard model.servedNames.contains(name) else { throw .unknownModel(name, served: model.servedNames) }
    }

    static func wrongType(_ name: String, _ value: JSONValue, wanted: String) -> RequestError {
        if case .malformed(let reason) = value {
            return .invalidValue(field: name, reason: "\(name) is \(reason)")
        }
        return .invalidValue(field: name, reason: "\(name) must be \(wanted), not \(value.typeName)")
    }
}
