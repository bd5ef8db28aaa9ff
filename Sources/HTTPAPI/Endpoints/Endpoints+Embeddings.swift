import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    func embeddings(_ call: Call) async throws(APIError) -> Response {
        let deadline = try call.deadline(within: configuration.maxRequestTimeout)
        let body = try await jsonBody(call.request, call.permit) { value throws(RequestError) in
            try EmbeddingsBody(
                value, model: embedder.model, configuration: configuration, client: call.client, deadline: deadline)
        }
        // Ids may be twice their text, and more than there ever is room for.
        guard body.inputByteCount <= configuration.maxBufferedBodyBytes else {
            throw APIError(RequestError.bodyTooLarge(limit: configuration.maxBufferedBodyBytes))
        }
        do throws(RequestError) { try call.permit.hold(body.inputByteCount) } catch { throw APIError(error) }
        let results = body.inputs.outcomes(try await embed(body.request))
        for case .failure(let error) in results {
            switch body.request.failurePolicy {
            case .request: throw error
            case .perInput: metrics.countInputFailure(code: error.code)
            }
        }
        let answer = EmbeddingsAnswer(
            results: results, dimensions: body.dimensions, encoding: body.encoding, modelName: embedder.model.name,
            failurePolicy: body.request.failurePolicy)
        return .json(.ok, bytes: answer.bytes)
    }

    /// One result an input; none for no input.
    func embed(_ request: EmbeddingRequest) async throws(APIError) -> [Result<Embedding, EmbeddingError>] {
        guard !request.inputs.isEmpty else { return [] }
        // The body may have taken all of the time.
        try request.deadline.check()
        do throws(EmbeddingError) {
            return try await embedder.embedEach(request).results
        } catch { throw APIError(error) }
    }

    func models() -> Response {
        .json(.ok, ["object": "list", "data": .array(embedder.model.servedNames.map(describe))])
    }

    func model(named name: String) throws(APIError) -> Response {
        guard embedder.model.servedNames.contains(name) else {
            throw APIError(RequestError.unknownModel(name, served: embedder.model.servedNames))
        }
        return .json(.ok, describe(name))
    }

    private func describe(_ name: String) -> JSONValue {
        let model = embedder.model
        return [
            "id": .string(name), "object": "model", "created": 0, "owned_by": "ovenbird",
            "dimensions": .number(JSONNumber(model.dimensions)),
            "max_input_tokens": .number(JSONNumber(model.maximumSequenceLength)),
            "precision": .string(model.precision.rawValue), "fingerprint": .string(model.fingerprint.description),
        ]
    }
}
