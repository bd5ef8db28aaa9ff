import Embeddings
import JSON

/// The body of `POST /v1/embeddings`, checked. Unknown members (`user`) are accepted, as OpenAI does.
struct EmbeddingsBody {
    /// What the encoder is asked for: the inputs that can be read.
    let request: EmbeddingRequest
    let inputs: EmbeddingInputs
    let dimensions: Int
    let encoding: VectorEncoding
    /// Of the texts and token ids.
    let inputByteCount: Int

    enum VectorEncoding {
        case float
        case base64
    }

    init(
        _ value: JSONValue, model: ModelDescription, configuration: HTTPConfiguration, client: ClientID,
        deadline: ContinuousClock.Instant?
    ) throws(RequestError) {
        let fields = try Fields(value)
        try fields.checkModel(servedBy: model)
        let failurePolicy: FailurePolicy =
            try fields.choice("on_error", ["fail": .request, "per_item": .perInput]) ?? .request
        inputs = try EmbeddingInputs(
            fields, usesTokenIDs: try fields.choice("token_ids", ["model": true]) ?? false,
            maximumCount: configuration.maxInputs, failurePolicy: failurePolicy)
        encoding = try fields.choice("encoding_format", ["float": .float, "base64": .base64]) ?? .float
        dimensions = try fields.integer("dimensions", in: 1...model.dimensions) ?? model.dimensions
        let readable = inputs.readable
        inputByteCount = readable.reduce(0) { $0 + $1.byteCount }
        let truncation: TruncationPolicy = try fields.choice("truncate", ["end": .end, "none": .none]) ?? .end
        let lane = try fields.choice("priority", ["interactive": Lane.interactive, "bulk": .bulk])
        request = EmbeddingRequest(
            inputs: readable, role: .plain, truncation: truncation,
            lane: lane
                ?? configuration.lane(inputCount: readable.count, byteCount: inputByteCount),
            client: client, deadline: deadline, failurePolicy: failurePolicy)
    }
}

extension EmbeddingInput {
    /// UTF-8 of a text; ids count as the four bytes that English has a token.
    fileprivate var byteCount: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .tokens(let ids): ids.count * 4
        }
    }
}
