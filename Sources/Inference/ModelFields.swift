import JSON

/// The members of one JSON file of a model's folder, with errors that name file and field.
struct ModelFields {
    let file: String
    let object: JSONObject

    /// Configuration files are a few kilobytes; more is not one.
    private static let maximumByteCount = 16 << 20

    init(file: String, object: JSONObject) {
        self.file = file
        self.object = object
    }

    init(directory: String, file: String) throws(ModelError) {
        guard case .object(let object) = try Self.value(directory: directory, file: file) else {
            throw .malformed(file: file, reason: "expected a JSON object")
        }
        self.init(file: file, object: object)
    }

    static func value(directory: String, file: String) throws(ModelError) -> JSONValue {
        let mapped = try MappedFile(directory: directory, name: file)
        return try mapped.withBytes { bytes throws(ModelError) in
            guard bytes.count <= maximumByteCount else {
                throw .malformed(file: file, reason: "\(bytes.count) bytes, more than \(maximumByteCount)")
            }
            do throws(JSONError) {
                return try JSONValue(parsing: Array(bytes))
            } catch {
                throw .malformed(file: file, reason: error.description)
            }
        }
    }

    /// Nil where the field is absent or null.
    private func present(_ field: String) -> JSONValue? {
        guard let value = object[field], value != .null else { return nil }
        return value
    }

    func has(_ field: String) -> Bool { present(field) != nil }

    func integer(_ field: String, in range: ClosedRange<Int>, default fallback: Int? = nil) throws(ModelError) -> Int {
        let expected = "an integer in \(range.lowerBound)...\(range.upperBound)"
        guard let value = present(field) else {
            if let fallback { return fallback }
            throw invalid(field, "missing", expected)
        }
        guard let integer = value.number?.integer, range.contains(integer) else {
            throw invalid(field, Self.shown(value), expected)
        }
        return integer
    }

    func number(_ field: String, in range: ClosedRange<Double>, default fallback: Double) throws(ModelError) -> Double {
        guard let value = present(field) else { return fallback }
        guard let number = value.number?.value, range.contains(number) else {
            throw invalid(field, Self.shown(value), "a number in \(range.lowerBound)...\(range.upperBound)")
        }
        return number
    }

    func string(_ field: String, default fallback: String? = nil) throws(ModelError) -> String {
        guard let value = present(field) else {
            if let fallback { return fallback }
            throw invalid(field, "missing", "a string")
        }
        guard let string = value.string else { throw invalid(field, Self.shown(value), "a string") }
        return string
    }

    func bool(_ field: String, default fallback: Bool) throws(ModelError) -> Bool {
        guard let value = present(field) else { return fallback }
        guard let bool = value.bool else { throw invalid(field, Self.shown(value), "true or false") }
        return bool
    }

    /// A string, or a list of strings; nil where absent.
    func strings(_ field: String) throws(ModelError) -> [String]? {
        guard let value = present(field) else { return nil }
        if let string = value.string { return [string] }
        let strings = value.array?.compactMap(\.string)
        guard let strings, strings.count == value.array?.count else {
            throw invalid(field, Self.shown(value), "a string or a list of strings")
        }
        return strings
    }

    func invalid(_ field: String, _ value: String, _ expected: String) -> ModelError {
        .invalid(file: file, field: field, value: value, expected: expected)
    }

    func unsupported(_ field: String, _ value: String, _ supported: String) -> ModelError {
        .unsupported(file: file, field: field, value: value, supported: supported)
    }

    static func shown(_ value: JSONValue) -> String {
        switch value {
        case .string(let string): "\"\(string.prefix(80))\""
        case .number(let number): "\(number.literal.prefix(40))"
        case .bool(let bool): "\(bool)"
        case .null, .array, .object, .malformed: value.typeName
        }
    }
}
