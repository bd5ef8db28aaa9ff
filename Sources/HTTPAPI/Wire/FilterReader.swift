import Embeddings
import JSON

/// Reads a metadata filter. An object with several fields asks for all of them; an empty one asks for nothing.
struct FilterReader {
    /// Levels of nested objects; a filter that people write has three.
    static let maximumDepth = 16
    static let maximumConditions = 256
    static let maximumChoices = 1_000
    /// Parts of a dotted name: metadata nests no deeper, and every part is a step of the database's own parser.
    static let maximumPathDepth = DocumentReader.maximumMetadataDepth

    private var conditionCount = 0

    /// Nil for an empty object.
    static func read(_ value: JSONValue, field: String) throws(RequestError) -> MetadataFilter? {
        var reader = FilterReader()
        guard case .object(let object) = value else { throw Fields.wrongType(field, value, wanted: "an object") }
        guard !object.isEmpty else { return nil }
        return try reader.filter(value, at: field, depth: 1)
    }

    private mutating func filter(_ value: JSONValue, at place: String, depth: Int) throws(RequestError)
        -> MetadataFilter
    {
        guard depth <= Self.maximumDepth else {
            throw .invalidValue(field: place.prefixed, reason: "filters nest at most \(Self.maximumDepth) levels deep")
        }
        guard case .object(let object) = value else { throw Fields.wrongType(place, value, wanted: "an object") }
        var parts: [MetadataFilter] = []
        for member in object.members {
            let here = "\(place).\(member.key)"
            switch member.key {
            case "$and": parts.append(.and(try filters(member.value, at: here, depth: depth)))
            case "$or": parts.append(.or(try filters(member.value, at: here, depth: depth)))
            case "$not": parts.append(.not(try filter(member.value, at: here, depth: depth + 1)))
            case let key where key.hasPrefix("$"):
                throw .invalidValue(
                    field: here.prefixed, reason: "unknown operator '\(key.prefix(40))'; known here are $and, $or, $not"
                )
            default:
                guard let path = FieldPath(member.key) else {
                    throw .invalidValue(
                        field: place.prefixed, reason: "a field's name is empty, has an empty part or holds a NUL")
                }
                guard path.components.count <= Self.maximumPathDepth else {
                    throw .invalidValue(
                        field: here.prefixed,
                        reason: "a field's name has more than \(Self.maximumPathDepth) parts; no metadata nests deeper")
                }
                parts.append(contentsOf: try conditions(on: path, member.value, at: here, depth: depth))
            }
        }
        guard let first = parts.first else {
            throw .invalidValue(field: place.prefixed, reason: "\(place.prefixed) is an empty object")
        }
        return parts.count == 1 ? first : .and(parts)
    }

    private mutating func filters(
        _ value: JSONValue, at place: String, depth: Int
    ) throws(RequestError) -> [MetadataFilter] {
        guard case .array(let elements) = value, !elements.isEmpty else {
            throw .invalidValue(field: place.prefixed, reason: "\(place.prefixed) must be a list that is not empty")
        }
        var result: [MetadataFilter] = []
        for (index, element) in elements.enumerated() {
            result.append(try filter(element, at: "\(place)[\(index)]", depth: depth + 1))
        }
        return result
    }

    private mutating func conditions(
        on path: FieldPath, _ value: JSONValue, at place: String, depth: Int
    ) throws(RequestError) -> [MetadataFilter] {
        guard case .object(let object) = value else {
            try count(at: place)
            return [.equals(path, try scalar(value, at: place))]
        }
        guard !object.isEmpty, depth < Self.maximumDepth else {
            throw .invalidValue(
                field: place.prefixed,
                reason: object.isEmpty
                    ? "\(place.prefixed) is an empty object" : "filters nest at most \(Self.maximumDepth) levels deep")
        }
        var result: [MetadataFilter] = []
        for member in object.members {
            let here = "\(place).\(member.key)"
            try count(at: here)
            switch member.key {
            case "$eq": result.append(.equals(path, try scalar(member.value, at: here)))
            case "$ne": result.append(.differs(path, try scalar(member.value, at: here)))
            case "$in": result.append(.anyOf(path, try choices(member.value, at: here)))
            case "$exists":
                guard case .bool(let exists) = member.value else {
                    throw Fields.wrongType(here.prefixed, member.value, wanted: "a boolean")
                }
                result.append(.exists(path, exists))
            default:
                guard let comparison = MetadataFilter.Comparison(rawValue: member.key) else {
                    throw .invalidValue(
                        field: here.prefixed,
                        reason: "unknown operator '\(member.key.prefix(40))'; known are $eq, $ne, $in, $gt, $gte, $lt, "
                            + "$lte, $exists (nested fields are written with dots)")
                }
                let bound = try scalar(member.value, at: here)
                switch bound {
                case .number, .string: result.append(.compares(path, comparison, bound))
                case .null, .bool:
                    throw .invalidValue(
                        field: here.prefixed, reason: "\(member.key) compares with a number or a string")
                }
            }
        }
        return result
    }

    private mutating func choices(_ value: JSONValue, at place: String) throws(RequestError) -> [MetadataScalar] {
        guard case .array(let elements) = value else { throw Fields.wrongType(place.prefixed, value, wanted: "a list") }
        guard (1...Self.maximumChoices).contains(elements.count) else {
            throw .invalidValue(
                field: place.prefixed, reason: "$in takes 1 to \(Self.maximumChoices) values, not \(elements.count)")
        }
        var result: [MetadataScalar] = []
        for element in elements { result.append(try scalar(element, at: place)) }
        return result
    }

    private func scalar(_ value: JSONValue, at place: String) throws(RequestError) -> MetadataScalar {
        switch value {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .number(let number):
            guard number.value.isFinite else {
                throw .invalidValue(field: place.prefixed, reason: "the number is beyond a double's range")
            }
            return .number(number)
        case .string(let text):
            guard !text.utf8.contains(0) else {
                throw .invalidValue(field: place.prefixed, reason: "the string holds a NUL")
            }
            return .string(text)
        case .array, .object, .malformed:
            throw Fields.wrongType(place.prefixed, value, wanted: "a string, a number, a boolean or null")
        }
    }

    private mutating func count(at place: String) throws(RequestError) {
        conditionCount += 1
        guard conditionCount <= Self.maximumConditions else {
            throw .invalidValue(
                field: "filter", reason: "the filter holds more than \(Self.maximumConditions) conditions")
        }
    }
}

extension String {
    /// The place in a filter, cut so that a hostile key does not fill the error.
    fileprivate var prefixed: String { count > 100 ? "\(prefix(100))…" : self }
}
