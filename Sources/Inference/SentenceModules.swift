import JSON

/// What sentence-transformers does around the encoder, as `modules.json` and the pooling module's `config.json` state it.
///
/// Reads the folders of sentence-transformers 2 to 5 (`sentence_transformers.models.Pooling`, one boolean a pooling mode)
/// and of 6 (`sentence_transformers.sentence_transformer.modules.pooling.Pooling`, `pooling_mode`). Without `modules.json`
/// it does as sentence-transformers does: mean pooling, no normalisation. Any other module is refused by name.
struct SentenceModules {
    var pooling = Pooling.mean
    var normalizes = false
    /// Whether pooling covers the prompt's tokens too.
    var includesPrompt = true

    private static let file = "modules.json"

    init(directory: String, hiddenSize: Int) throws(ModelError) {
        guard MappedFile.exists(directory: directory, name: Self.file) else { return }
        guard case .array(let entries) = try ModelFields.value(directory: directory, file: Self.file) else {
            throw .malformed(file: Self.file, reason: "expected a list of modules")
        }
        var kinds: [ModuleKind] = []
        for entry in entries {
            guard let object = entry.object else {
                throw .malformed(file: Self.file, reason: "expected a list of objects, found \(entry.typeName)")
            }
            let fields = ModelFields(file: Self.file, object: object)
            let kind = try ModuleKind(fields)
            kinds.append(kind)
            let path = try fields.string("path", default: "")
            guard !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
                throw fields.invalid("path", "\"\(path)\"", "a folder inside the model's")
            }
            switch kind {
            case .transformer: try Self.checkTransformer(directory: directory, path: path, fields)
            case .pooling: try readPooling(directory: directory, path: path, hiddenSize: hiddenSize)
            case .normalize: try readNormalize(directory: directory, path: path)
            }
        }
        guard kinds == [.transformer, .pooling] || kinds == [.transformer, .pooling, .normalize] else {
            throw .unsupported(
                file: Self.file, field: "the sequence of modules",
                value: kinds.map(\.rawValue).joined(separator: ", "),
                supported: "Transformer, Pooling and optionally Normalize")
        }
    }

    private static func checkTransformer(
        directory: String, path: String, _ fields: ModelFields
    ) throws(ModelError) {
        guard path.isEmpty || path == "." else {
            throw fields.unsupported("path", "\"\(path)\" of the Transformer", "the model's own folder")
        }
        let file = "sentence_bert_config.json"
        guard MappedFile.exists(directory: directory, name: file) else { return }
        let settings = try ModelFields(directory: directory, file: file)
        let task = try settings.string("transformer_task", default: "feature-extraction")
        guard task == "feature-extraction" else {
            throw settings.unsupported("transformer_task", "\"\(task)\"", "feature-extraction")
        }
        let output = try settings.string("module_output_name", default: "token_embeddings")
        guard output == "token_embeddings" else {
            throw settings.unsupported("module_output_name", "\"\(output)\"", "token_embeddings")
        }
    }

    private mutating func readPooling(directory: String, path: String, hiddenSize: Int) throws(ModelError) {
        let fields = try ModelFields(directory: directory, file: path.isEmpty ? "config.json" : "\(path)/config.json")
        for field in ["word_embedding_dimension", "embedding_dimension"] where fields.has(field) {
            let dimension = try fields.integer(field, in: 1...Int(Int32.max))
            guard dimension == hiddenSize else {
                throw fields.invalid(field, "\(dimension)", "the encoder's hidden_size \(hiddenSize)")
            }
        }
        includesPrompt = try fields.bool("include_prompt", default: true)
        let modes =
            if let modes = try fields.strings("pooling_mode") { modes } else { try Self.legacyModes(fields) }
        guard modes.count == 1, let mode = modes.first, let pooling = Pooling(rawValue: mode) else {
            throw fields.unsupported(
                "pooling_mode", modes.map { "\"\($0)\"" }.joined(separator: " with "),
                "one of \(Pooling.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.pooling = pooling
    }

    /// The booleans that sentence-transformers wrote until version 5; none set means mean.
    private static func legacyModes(_ fields: ModelFields) throws(ModelError) -> [String] {
        var modes: [String] = []
        for (field, mode) in [
            ("pooling_mode_cls_token", "cls"), ("pooling_mode_max_tokens", "max"),
            ("pooling_mode_mean_tokens", "mean"), ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
            ("pooling_mode_weightedmean_tokens", "weightedmean"), ("pooling_mode_lasttoken", "lasttoken"),
        ] where try fields.bool(field, default: false) {
            modes.append(mode)
        }
        return modes.isEmpty ? ["mean"] : modes
    }

    private mutating func readNormalize(directory: String, path: String) throws(ModelError) {
        normalizes = true
        let file = "\(path)/config.json"
        guard !path.isEmpty, MappedFile.exists(directory: directory, name: file) else { return }
        let fields = try ModelFields(directory: directory, file: file)
        for field in ["module_input_name", "module_output_name"] {
            let name = try fields.string(field, default: "sentence_embedding")
            guard name == "sentence_embedding" else {
                throw fields.unsupported(field, "\"\(name)\"", "sentence_embedding")
            }
        }
    }
}

private enum ModuleKind: String {
    case transformer = "Transformer"
    case pooling = "Pooling"
    case normalize = "Normalize"

    init(_ fields: ModelFields) throws(ModelError) {
        let type = try fields.string("type")
        // 2 to 5, then the three modules of 6; a class of one's own that only ends alike is not one of these.
        switch type {
        case "sentence_transformers.models.Transformer", "sentence_transformers.models.Transformer.Transformer",
            "sentence_transformers.base.modules.transformer.Transformer",
            "sentence_transformers.sentence_transformer.modules.transformer.Transformer":
            self = .transformer
        case "sentence_transformers.models.Pooling", "sentence_transformers.models.Pooling.Pooling",
            "sentence_transformers.sentence_transformer.modules.pooling.Pooling":
            self = .pooling
        case "sentence_transformers.models.Normalize", "sentence_transformers.models.Normalize.Normalize",
            "sentence_transformers.base.modules.normalize.Normalize",
            "sentence_transformers.sentence_transformer.modules.normalize.Normalize":
            self = .normalize
        default:
            throw fields.unsupported("type", "\"\(type)\"", "Transformer, Pooling and Normalize")
        }
        if fields.has("kwargs") { throw fields.unsupported("kwargs", "of \"\(type)\"", "none") }
    }
}
