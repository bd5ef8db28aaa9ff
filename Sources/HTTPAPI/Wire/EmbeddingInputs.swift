import Embeddings
import JSON

/// `input` of `POST /v1/embeddings`, one element an input, in order. With `FailurePolicy.perInput` what cannot be read
/// stands in its place as an error; what is wrong with `input` as a whole is refused in any case.
struct EmbeddingInputs {
    private let elements: [Result<EmbeddingInput, RequestError>]

    init(
        _ fields: Fields, usesTokenIDs: Bool, maximumCount: Int, failurePolicy: FailurePolicy
    ) throws(RequestError) {
        guard let input = fields["input"] else {
            throw .invalidValue(field: "input", reason: "input is required: a string or a list of strings")
        }
        let reader = ElementReader(usesTokenIDs: usesTokenIDs, failurePolicy: failurePolicy)
        switch input {
        case .array(let values):
            guard let first = values.first else {
                throw .invalidValue(field: "input", reason: "input is an empty list")
            }
            if Self.isTokenList(values, first: first, failurePolicy) {
                guard usesTokenIDs else { throw .tokenInput(field: "input") }
                elements = [try reader.read(input, at: "input")]
                return
            }
            guard values.count <= maximumCount else {
                throw .invalidValue(
                    field: "input",
                    reason: "input holds \(values.count) elements; at most \(maximumCount) are taken")
            }
            var elements: [Result<EmbeddingInput, RequestError>] = []
            elements.reserveCapacity(values.count)
            for (index, value) in values.enumerated() {
                elements.append(try reader.read(value, at: "input[\(index)]"))
            }
            self.elements = elements
        case .string, .malformed: elements = [try reader.read(input, at: "input")]
        case .null, .bool, .number, .object: throw Fields.wrongType("input", input, wanted: "a string")
        }
    }

    /// Those that can be read.
    var readable: [EmbeddingInput] {
        elements.compactMap { element in
            if case .success(let input) = element { input } else { nil }
        }
    }

    /// One result an input.
    ///
    /// - Parameter results: those of `readable`, in order.
    func outcomes(_ results: [Result<Embedding, EmbeddingError>]) -> [Result<Embedding, APIError>] {
        var results = results.makeIterator()
        return elements.enumerated().map { index, element in
            switch element {
            case .failure(let error): .failure(APIError(error))
            case .success:
                switch results.next() {
                case .success(let embedding): .success(embedding)
                case .failure(let error): .failure(APIError(error.moved(to: index)))
                case nil: preconditionFailure("the embedder answers every input")
                }
            }
        }
    }

    /// Whether the list is one input of token ids. A number among texts fails alone where it may.
    private static func isTokenList(
        _ values: [JSONValue], first: JSONValue, _ failurePolicy: FailurePolicy
    ) -> Bool {
        switch failurePolicy {
        case .request: first.isNumber
        case .perInput: values.allSatisfy(\.isNumber)
        }
    }
}

/// Reads one input.
private struct ElementReader {
    let usesTokenIDs: Bool
    let failurePolicy: FailurePolicy

    /// - Parameter name: the element's, as errors name it.
    func read(_ value: JSONValue, at name: String) throws(RequestError) -> Result<EmbeddingInput, RequestError> {
        do throws(RequestError) {
            return .success(try input(value, at: name))
        } catch {
            switch failurePolicy {
            case .request: throw error
            case .perInput: return .failure(error)
            }
        }
    }

    private func input(_ value: JSONValue, at name: String) throws(RequestError) -> EmbeddingInput {
        if case .array(let list) = value {
            guard usesTokenIDs else {
                // Of one input among others only what fails alone is told by its own name.
                throw .tokenInput(field: failurePolicy == .perInput ? name : "input")
            }
            return .tokens(try ids(list, at: name))
        }
        guard case .string(let text) = value else { throw Fields.wrongType(name, value, wanted: "a string") }
        guard !text.isEmpty else { throw .invalidValue(field: name, reason: "\(name) is an empty string") }
        return .text(text)
    }

    private func ids(_ elements: [JSONValue], at name: String) throws(RequestError) -> [Int32] {
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

extension JSONValue {
    fileprivate var isNumber: Bool {
        if case .number = self { true } else { false }
    }
}
