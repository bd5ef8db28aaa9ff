import Embeddings
import JSON

/// One line of a batch's file: `{"custom_id","method","url","body"}`, its body as `POST /v1/embeddings` takes it.
struct BatchLine: Equatable {
    let customID: String
    let content: Content

    enum Content: Equatable {
        case texts([String], AnswerFormat)
        /// The request alone cannot be answered, as `/v1/embeddings` would not answer it.
        case refused(ItemError, parameter: String?)
    }

    /// What a line is held against.
    struct Rules {
        var model: ModelDescription
        /// Texts of one request.
        var maximumInputs: Int
        var maximumTextBytes: Int
    }

    static let endpoint = "/v1/embeddings"
    /// Bytes: what an index over them can hold.
    static let maximumCustomIDBytes = 512

    init(_ value: JSONValue, line: Int, rules: Rules) throws(BatchError) {
        do throws(RequestError) {
            guard case .object = value else {
                throw .invalidValue(field: nil, reason: "the line must be an object, not \(value.typeName)")
            }
            let fields = try Fields(value)
            guard let customID = try fields.string("custom_id") else { throw Self.missing("custom_id") }
            guard (1...Self.maximumCustomIDBytes).contains(customID.utf8.count), !customID.utf8.contains(0) else {
                throw .invalidValue(
                    field: "custom_id",
                    reason: "custom_id must have 1 to \(Self.maximumCustomIDBytes) bytes, and no NUL")
            }
            self.customID = customID
            guard let method = try fields.string("method") else { throw Self.missing("method") }
            guard method == "POST" else { throw .invalidValue(field: "method", reason: "method must be 'POST'") }
            guard let url = try fields.string("url") else { throw Self.missing("url") }
            guard url == Self.endpoint else {
                throw .invalidValue(field: "url", reason: "url must be '\(Self.endpoint)', the batch's endpoint")
            }
            guard let bodyValue = fields["body"] else { throw Self.missing("body") }
            guard case .object = bodyValue else { throw Fields.wrongType("body", bodyValue, wanted: "an object") }
            let body = try Fields(bodyValue)
            try body.checkModel(servedBy: rules.model)
            if try body.choice("truncate", ["end": true, "none": false]) == false {
                throw .invalidValue(field: "truncate", reason: "truncate 'none' is not taken in batches")
            }
            if try body.choice("on_error", ["fail": true, "per_item": false]) == false {
                throw .invalidValue(field: "on_error", reason: "on_error 'per_item' is not taken in batches")
            }
            let format = AnswerFormat(
                encoding: try body.choice("encoding_format", ["float": .float, "base64": .base64]) ?? .float,
                dimensions: try body.integer("dimensions", in: 1...rules.model.dimensions) ?? rules.model.dimensions)
            content = try Self.content(body, format, rules)
        } catch {
            throw BatchError(error, line: line)
        }
    }

    private static func content(
        _ body: Fields, _ format: AnswerFormat, _ rules: Rules
    ) throws(RequestError) -> Content {
        let elements: [JSONValue]
        switch body["input"] {
        case nil: throw missing("input")
        case .string(let text)?: elements = [.string(text)]
        case .malformed(let reason)?: elements = [.malformed(reason: reason)]
        case .array(let list)?: elements = list
        case let other?: throw Fields.wrongType("input", other, wanted: "a string or a list of strings")
        }
        guard !elements.isEmpty else { return refusal("input is an empty list", "input") }
        var texts: [String] = []
        for (index, element) in elements.enumerated() {
            let name = "input[\(index)]"
            switch element {
            case .string(let text):
                if text.isEmpty { return refusal("\(name) is an empty string", name) }
                if text.utf8.contains(0) { return refusal("\(name) holds a NUL", name) }
                if text.utf8.count > rules.maximumTextBytes {
                    return refusal("\(name) has more than \(rules.maximumTextBytes) bytes", name)
                }
                texts.append(text)
            case .malformed(let reason): return refusal("\(name) is \(reason)", name)
            case .number, .array: throw .tokenInput(field: "input")
            case .null, .bool, .object: throw Fields.wrongType(name, element, wanted: "a string")
            }
        }
        guard texts.count <= rules.maximumInputs else {
            return refusal("input holds \(texts.count) elements; at most \(rules.maximumInputs) are taken", "input")
        }
        return .texts(texts, format)
    }

    private static func missing(_ name: String) -> RequestError {
        .invalidValue(field: name, reason: "\(name) is missing")
    }

    private static func refusal(_ reason: String, _ parameter: String) -> Content {
        .refused(ItemError(code: "invalid_value", message: reason), parameter: parameter)
    }
}

extension BatchError {
    /// What an endpoint would have answered.
    init(_ error: RequestError, line: Int?) {
        let answer = APIError(error)
        self.init(code: answer.code, message: answer.message, parameter: answer.field, line: line)
    }
}
