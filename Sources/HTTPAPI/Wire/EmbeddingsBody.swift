import Embeddings
import JSON

/// The body of `POST /v1/embeddings`, checked. Unknown members (`user`) are accepted, as OpenAI does.
struct EmbeddingsBody {
    let request: EmbeddingRequest
    let dimensions: Int
    let encoding: VectorEncoding

    enum VectorEncoding {
        case float
        case base64
    }

    init(_ value: JSONValue, model: ModelDescription, maxInputs: Int) throws(RequestError) {
        let fields = try Fields(value)
        try fields.checkModel(servedBy: model)
        let usesTokenIDs = try fields.choice("token_ids", ["model": true]) ?? false
        let inputs = try Self.inputs(fields, usesTokenIDs: usesTokenIDs, maxInputs: maxInputs)
        encoding = try fields.choice("encoding_format", ["float": .float, "base64": .base64]) ?? .float
        dimensions = try fields.integer("dimensions", in: 1...model.dimensions) ?? model.dimensions
        request = EmbeddingRequest(
            inputs: inputs, role: .plain,
            truncation: try fields.choice("truncate", ["end": .end, "none": .none]) ?? .end,
            lane: try fields.choice("priority", ["interactive": .interactive, "bulk": .bulk]) ?? .interactive)
    }

    private static func inputs(
        _ fields: Fields, usesTokenIDs: Bool, maxInputs: Int
    ) throws(RequestError) -> [EmbeddingInput] {
        guard let input = fields["input"] else {
            throw .invalidValue(field: "input", reason: "input is required: a string or a list of strings")
        }
        guard case .array(let elements) = input else {
            return [try text(input, at: "input")]
        }
        guard let first = elements.first else {
            throw .invalidValue(field: "input", reason: "input is an empty list")
        }
        if case .number = first {
            guard usesTokenIDs else { throw .tokenInput }
            return [.tokens(try ids(elements, at: "input"))]
        }
        guard elements.count <= maxInputs else {
            throw .invalidValue(
                field: "input", reason: "input holds \(elements.count) elements; at most \(maxInputs) are taken")
        }
        var inputs: [EmbeddingInput] = []
        inputs.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            let name = "input[\(index)]"
            if case .array(let list) = element {
                guard usesTokenIDs else { throw .tokenInput }
                inputs.append(.tokens(try ids(list, at: name)))
            } else {
                inputs.append(try text(element, at: name))
            }
        }
        return inputs
    }

    private static func text(_ value: JSONValue, at name: String) throws(RequestError) -> EmbeddingInput {
        guard case .string(let text) = value else {
            throw Fields.wrongType(name, value, wanted: "a string")
        }
        guard !text.isEmpty else { throw .invalidValue(field: name, reason: "\(name) is an empty string") }
        return .text(text)
    }

    private static func ids(_ elements: [JSONValue], at name: String) throws(RequestError) -> [Int32] {
        guard !elements.isEmpty else { throw .invalidValue(field: name, reason: "\(name) is an empty list") }
        var ids: [Int32] = []
        ids.reserveCapacity(elements.count)
        for element in elements {
            guard case .number(let number) = element, let id = number.integer.flatMap({ Int32(exactly: $0) }) else {
                throw .invalidValue(field: name, reason: "\(name) must hold token ids (32-bit integers) only")
            }
            ids.append(id)
        }
        return ids
    }
}
