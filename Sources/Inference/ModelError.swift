/// Why a model folder cannot be served. Names the file, the field or tensor, and what stands there.
package enum ModelError: Error, Equatable, CustomStringConvertible {
    /// The file is missing or cannot be read.
    case unreadable(file: String, reason: String)
    /// The file is not what its format says.
    case malformed(file: String, reason: String)
    /// The field is missing, or its value is impossible.
    case invalid(file: String, field: String, value: String, expected: String)
    /// The value is legitimate, and nothing here computes it.
    case unsupported(file: String, field: String, value: String, supported: String)
    /// A tensor that the configuration asks for is missing, or has another shape or type.
    case tensor(file: String, name: String, reason: String)

    package var description: String {
        switch self {
        case .unreadable(let file, let reason), .malformed(let file, let reason): "\(file): \(reason)"
        case .invalid(let file, let field, let value, let expected):
            "\(file): \(field) is \(value), expected \(expected)"
        case .unsupported(let file, let field, let value, let supported):
            "\(file): \(field) \(value) is not supported (supported: \(supported))"
        case .tensor(let file, let name, let reason): "\(file): tensor \(name) \(reason)"
        }
    }
}
