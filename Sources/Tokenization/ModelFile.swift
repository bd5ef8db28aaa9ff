import FoundationEssentials
import JSON

/// A JSON file of the model's folder, or a part of it, that knows its place for error messages.
struct ModelFile: Sendable {
    let name: String
    /// Where in the file, for example `model.vocab`; empty at the top.
    let component: String
    let value: JSONValue

    /// Nil where there is no such file.
    init?(named name: String, in directory: String) throws(TokenizerError) {
        let path = directory + "/" + name
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let bytes: [UInt8]
        do {
            bytes = Array(try Data(contentsOf: URL(filePath: path)))
        } catch {
            throw TokenizerError.unreadable(file: name, reason: "\(error)")
        }
        do {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw TokenizerError.unreadable(file: name, reason: error.description)
        }
        self.name = name
        component = ""
        guard value.object != nil else { throw wrongType("an object") }
    }

    init(name: String, component: String, value: JSONValue) {
        self.name = name
        self.component = component
        self.value = value
    }

    /// The member of that name; nil where it is absent or null.
    subscript(key: String) -> ModelFile? {
        guard let member = value.object?[key], member != .null else { return nil }
        return ModelFile(name: name, component: component.isEmpty ? key : "\(component).\(key)", value: member)
    }

    func member(_ key: String) throws(TokenizerError) -> ModelFile {
        guard let member = self[key] else {
            throw .malformed(
                file: name, component: component.isEmpty ? key : "\(component).\(key)", reason: "is missing")
        }
        return member
    }

    func elements() throws(TokenizerError) -> [ModelFile] {
        guard let array = value.array else { throw wrongType("an array") }
        return array.enumerated().map { ModelFile(name: name, component: "\(component)[\($0)]", value: $1) }
    }

    func members() throws(TokenizerError) -> [(key: String, value: ModelFile)] {
        guard let object = value.object else { throw wrongType("an object") }
        return object.members.map { member in
            let place = component.isEmpty ? member.key : "\(component).\(member.key)"
            return (member.key, ModelFile(name: name, component: place, value: member.value))
        }
    }

    func string() throws(TokenizerError) -> String {
        guard let string = value.string else { throw wrongType("a string") }
        return string
    }

    func bool() throws(TokenizerError) -> Bool {
        guard let bool = value.bool else { throw wrongType("a boolean") }
        return bool
    }

    /// A whole number from 0 on.
    func count() throws(TokenizerError) -> Int {
        guard let count = value.number?.integer, count >= 0 else { throw wrongType("a whole number from 0 on") }
        return count
    }

    func tokenID() throws(TokenizerError) -> Int32 {
        guard let id = Int32(exactly: try count()) else { throw malformed("is not a token id") }
        return id
    }

    func malformed(_ reason: String) -> TokenizerError {
        .malformed(file: name, component: component.isEmpty ? "the file" : component, reason: reason)
    }

    func unsupported(_ what: String) -> TokenizerError {
        .unsupported(file: name, component: "\(component) \(what)")
    }

    private func wrongType(_ expected: String) -> TokenizerError {
        malformed("is \(value.typeName), not \(expected)")
    }
}
