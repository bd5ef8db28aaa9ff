import Embeddings
import JSON

/// Why one document of an upsert is not taken; the others are. Safe to send to a client.
struct DocumentError: Error {
    let reason: String
    /// The document's id where it could be read.
    let id: String?
}

/// Reads `{"id","text","metadata"?}`; other members are ignored.
enum DocumentReader {
    /// Bytes of UTF-8: what an index over ids can hold.
    static let maximumIDBytes = 512
    /// Bytes of the metadata as compact JSON.
    static let maximumMetadataBytes = 64 << 10
    static let maximumMetadataDepth = 16

    static func read(_ value: JSONValue, maximumTextBytes: Int) throws(DocumentError) -> DocumentDraft {
        let object = try object(value)
        let id = try identifier(object["id"])
        let content = try content(of: object, id: id, maximumTextBytes: maximumTextBytes)
        return DocumentDraft(id: id, text: content.text, metadata: content.metadata)
    }

    static func object(_ value: JSONValue) throws(DocumentError) -> JSONObject {
        guard case .object(let object) = value else {
            if case .malformed(let reason) = value { throw DocumentError(reason: "it is \(reason)", id: nil) }
            throw DocumentError(reason: "it must be an object, not \(value.typeName)", id: nil)
        }
        return object
    }

    /// - Parameter id: what an error carries.
    static func content(
        of object: JSONObject, id: String?, maximumTextBytes: Int
    ) throws(DocumentError) -> (text: String, metadata: JSONObject) {
        guard let textValue = object["text"] else { throw DocumentError(reason: "text is missing", id: id) }
        guard case .string(let text) = textValue else {
            throw DocumentError(reason: wrongType("text", textValue, "a string"), id: id)
        }
        guard !text.isEmpty else { throw DocumentError(reason: "text is empty", id: id) }
        guard text.utf8.count <= maximumTextBytes else {
            throw DocumentError(
                reason: "text has \(text.utf8.count) bytes; at most \(maximumTextBytes) are taken", id: id)
        }
        guard !text.utf8.contains(0) else { throw DocumentError(reason: "text holds a NUL", id: id) }
        switch object["metadata"] {
        case nil, .null: return (text, JSONObject())
        case .object(let metadata):
            if let reason = fault(in: .object(metadata), depth: 1) {
                throw DocumentError(reason: "metadata \(reason)", id: id)
            }
            var bytes: [UInt8] = []
            JSONValue.object(metadata).write(to: &bytes)
            guard bytes.count <= maximumMetadataBytes else {
                throw DocumentError(
                    reason: "metadata has \(bytes.count) bytes; at most \(maximumMetadataBytes) are taken", id: id)
            }
            return (text, metadata)
        case .some(let other): throw DocumentError(reason: wrongType("metadata", other, "an object"), id: id)
        }
    }

    /// A string, or an integer as it is written.
    static func identifier(_ value: JSONValue?) throws(DocumentError) -> String {
        switch value {
        case nil: throw DocumentError(reason: "id is missing", id: nil)
        case .number(let number):
            guard number.integer != nil else {
                throw DocumentError(reason: "id is a number but no integer of 64 bits", id: nil)
            }
            return number.literal
        case .string(let id):
            if let reason = fault(inID: id) { throw DocumentError(reason: reason, id: nil) }
            return id
        case .some(let other):
            throw DocumentError(reason: wrongType("id", other, "a string or an integer"), id: nil)
        }
    }

    /// Why no document can have this id; nil where one can.
    static func fault(inID id: String) -> String? {
        if id.isEmpty { return "id is empty" }
        if id.utf8.contains(0) { return "id holds a NUL" }
        if id.utf8.count > maximumIDBytes {
            return "id has \(id.utf8.count) bytes; at most \(maximumIDBytes) are taken"
        }
        return nil
    }

    private static func wrongType(_ name: String, _ value: JSONValue, _ wanted: String) -> String {
        if case .malformed(let reason) = value { return "\(name) is \(reason)" }
        return "\(name) must be \(wanted), not \(value.typeName)"
    }

    private static func fault(in value: JSONValue, depth: Int) -> String? {
        switch value {
        case .null, .bool: return nil
        case .number(let number):
            return number.value.isFinite ? nil : "holds a number beyond a double's range"
        case .string(let text): return text.utf8.contains(0) ? "holds a string with a NUL" : nil
        case .malformed(let reason): return "holds \(reason)"
        case .array(let elements):
            guard depth <= maximumMetadataDepth else { return tooDeep }
            for element in elements {
                if let reason = fault(in: element, depth: depth + 1) { return reason }
            }
            return nil
        case .object(let object):
            guard depth <= maximumMetadataDepth else { return tooDeep }
            for member in object.members {
                if member.key.utf8.contains(0) { return "holds a key with a NUL" }
                if let reason = fault(in: member.value, depth: depth + 1) { return reason }
            }
            return nil
        }
    }

    private static var tooDeep: String { "nests deeper than \(maximumMetadataDepth) levels" }
}
