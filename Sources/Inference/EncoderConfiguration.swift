/// A BERT encoder's sizes and rules, as `config.json` states them.
struct EncoderConfiguration {
    let hiddenSize: Int
    let layerCount: Int
    let headCount: Int
    let intermediateSize: Int
    let vocabularySize: Int
    let maximumPositionEmbeddings: Int
    let tokenTypeCount: Int
    let layerNormEpsilon: Float
    let activation: Activation

    var headSize: Int { hiddenSize / headCount }

    /// Weights of such a model, pooler and heads left out.
    var weightCount: Int {
        let tables = (vocabularySize + maximumPositionEmbeddings + tokenTypeCount + 2) * hiddenSize
        let perLayer = (4 * hiddenSize + 2 * intermediateSize + 9) * hiddenSize + intermediateSize
        return tables + layerCount * perLayer
    }

    static let file = "config.json"

    init(directory: String) throws(ModelError) {
        let fields = try ModelFields(directory: directory, file: Self.file)
        let modelType = try fields.string("model_type")
        guard modelType == "bert" else { throw fields.unsupported("model_type", "\"\(modelType)\"", "bert") }
        try Self.refuseVariants(fields)
        // Limits far above any published encoder, and low enough that no product of two overflows.
        hiddenSize = try fields.integer("hidden_size", in: 1...65_536)
        layerCount = try fields.integer("num_hidden_layers", in: 1...1_024)
        headCount = try fields.integer("num_attention_heads", in: 1...4_096)
        intermediateSize = try fields.integer("intermediate_size", in: 1...262_144)
        vocabularySize = try fields.integer("vocab_size", in: 1...16_777_216)
        maximumPositionEmbeddings = try fields.integer("max_position_embeddings", in: 1...1_048_576)
        tokenTypeCount = try fields.integer("type_vocab_size", in: 1...65_536, default: 2)
        layerNormEpsilon = Float(try fields.number("layer_norm_eps", in: 0...1, default: 1e-12))
        guard hiddenSize.isMultiple(of: headCount) else {
            throw fields.invalid("num_attention_heads", "\(headCount)", "a divisor of hidden_size \(hiddenSize)")
        }
        let name = try fields.string("hidden_act", default: "gelu")
        guard let activation = Activation(configurationName: name) else {
            throw fields.unsupported("hidden_act", "\"\(name)\"", Activation.configurationNames)
        }
        self.activation = activation
    }

    /// Models that call themselves BERT and compute something else.
    private static func refuseVariants(_ fields: ModelFields) throws(ModelError) {
        let positions = try fields.string("position_embedding_type", default: "absolute")
        guard positions == "absolute" else {
            throw fields.unsupported("position_embedding_type", "\"\(positions)\"", "absolute")
        }
        for field in ["is_decoder", "add_cross_attention"] where try fields.bool(field, default: false) {
            throw fields.unsupported(field, "true", "false")
        }
        for field in ["auto_map", "quantization_config"] where fields.has(field) {
            throw fields.unsupported(field, "present", "models of plain BERT code in F32, F16 or BF16")
        }
    }
}

/// What stands between the two dense layers of a block.
package enum Activation: String, Sendable, CaseIterable {
    case relu
    /// x·Φ(x), by the error function.
    case gelu
    /// The approximation of gelu by a hyperbolic tangent.
    case geluTanh
    case silu

    init?(configurationName: String) {
        switch configurationName {
        case "relu": self = .relu
        case "gelu", "gelu_python": self = .gelu
        case "gelu_new", "gelu_pytorch_tanh": self = .geluTanh
        case "silu", "swish": self = .silu
        default: return nil
        }
    }

    static let configurationNames = "relu, gelu, gelu_python, gelu_new, gelu_pytorch_tanh, silu, swish"
}
