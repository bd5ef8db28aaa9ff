package import JSON

/// A condition on a document's metadata. A missing field, or a value of another type, matches no comparison.
package indirect enum MetadataFilter: Sendable, Equatable {
    case equals(FieldPath, MetadataScalar)
    /// The field holds a value of the same type that differs; an absent field does not match.
    case differs(FieldPath, MetadataScalar)
    case anyOf(FieldPath, [MetadataScalar])
    /// Numbers compare with numbers and strings (by Unicode scalars) with strings.
    case compares(FieldPath, Comparison, MetadataScalar)
    case exists(FieldPath, Bool)
    case and([MetadataFilter])
    case or([MetadataFilter])
    case not(MetadataFilter)

    package enum Comparison: String, Sendable, CaseIterable {
        case greater = "$gt"
        case greaterOrEqual = "$gte"
        case less = "$lt"
        case lessOrEqual = "$lte"
    }
}

/// Names of nested fields, outermost first; never empty.
package struct FieldPath: Sendable, Hashable {
    package let components: [String]

    /// `"author.name"` names `name` inside `author`. Nil for an empty path or component, or one with a NUL.
    package init?(_ text: String) {
        // By scalars: a dot and a combining mark after it are one `Character`.
        let parts = text.unicodeScalars.split(separator: ".", omittingEmptySubsequences: false).map { String($0) }
        guard parts.allSatisfy({ !$0.isEmpty && !$0.utf8.contains(0) }) else { return nil }
        components = parts
    }
}

/// A value that a metadata field is compared with. A number is finite; a string holds no NUL.
package enum MetadataScalar: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
}
