import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    func embeddings(_ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        let value = try await jsonBody(request, permit)
        let body: EmbeddingsBody
        do throws(RequestError) {
            body = try EmbeddingsBody(value, model: embedder.model, maxInputs: configuration.maxInputs)
        } catch { throw APIError(error) }
        let embeddings = try await embed(body.request)
        let answer = EmbeddingsAnswer(
            embeddings: embeddings, dimensions: body.dimensions, encoding: body.encoding,
            modelName: embedder.model.name)
        return .json(.ok, bytes: answer.bytes)
    }

    func embed(_ request: EmbeddingRequest) async throws(APIError) -> [Embedding] {
        do throws(EmbeddingError) {
            return try await embedder.embed(request)
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
