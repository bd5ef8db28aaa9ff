/// The tensors of a BERT encoder in a safetensors file, under the names that Hugging Face's `transformers` gives them.
struct WeightFile: ~Copyable {
    private let file: SafetensorsFile
    private let configuration: EncoderConfiguration
    /// `bert.` for models that were saved with a head, else nothing.
    private let prefix: String

    init(directory: String, configuration: EncoderConfiguration) throws(ModelError) {
        let name = "model.safetensors"
        let shards = "model.safetensors.index.json"
        if !MappedFile.exists(directory: directory, name: name), MappedFile.exists(directory: directory, name: shards) {
            throw .unsupported(
                file: shards, field: "weights", value: "in several files", supported: "one model.safetensors")
        }
        file = try SafetensorsFile(directory: directory, name: name)
        self.configuration = configuration
        prefix = file.tensors["bert.embeddings.word_embeddings.weight"] == nil ? "" : "bert."
    }

    /// Refuses a file in which a tensor is missing, or of another shape or type than `config.json` asks for.
    func check() throws(ModelError) {
        let (width, inner) = (configuration.hiddenSize, configuration.intermediateSize)
        _ = try find("embeddings.word_embeddings.weight", [configuration.vocabularySize, width])
        _ = try find("embeddings.position_embeddings.weight", [configuration.maximumPositionEmbeddings, width])
        _ = try find("embeddings.token_type_embeddings.weight", [configuration.tokenTypeCount, width])
        try checkNorm("embeddings.LayerNorm")
        for index in 0..<configuration.layerCount {
            let layer = "encoder.layer.\(index)"
            for name in ["query", "key", "value"] {
                try checkDense("\(layer).attention.self.\(name)", inputs: width, outputs: width)
            }
            try checkDense("\(layer).attention.output.dense", inputs: width, outputs: width)
            try checkNorm("\(layer).attention.output.LayerNorm")
            try checkDense("\(layer).intermediate.dense", inputs: width, outputs: inner)
            try checkDense("\(layer).output.dense", inputs: inner, outputs: width)
            try checkNorm("\(layer).output.LayerNorm")
        }
    }

    private func checkDense(_ name: String, inputs: Int, outputs: Int) throws(ModelError) {
        _ = try find("\(name).weight", [outputs, inputs])
        _ = try find("\(name).bias", [outputs])
    }

    private func checkNorm(_ name: String) throws(ModelError) {
        for tensor in normTensors(name) { _ = try find(tensor, [configuration.hiddenSize]) }
    }

    /// gamma's name and beta's; TensorFlow's, which early conversions kept, where those stand there.
    func normTensors(_ name: String) -> [String] {
        let isOld = file.tensors["\(prefix)\(name).weight"] == nil && file.tensors["\(prefix)\(name).gamma"] != nil
        return isOld ? ["\(name).gamma", "\(name).beta"] : ["\(name).weight", "\(name).bias"]
    }

    func tables() throws(ModelError) -> EmbeddingTables {
        let width = configuration.hiddenSize
        let words = try floats("embeddings.word_embeddings.weight", [configuration.vocabularySize, width])
        let rows = configuration.maximumPositionEmbeddings
        let positions = try floats("embeddings.position_embeddings.weight", [rows, width])
        let types = try floats("embeddings.token_type_embeddings.weight", [configuration.tokenTypeCount, width])
        let (target, type) = (positions.floats(at: 0, count: rows * width), types.floats(at: 0, count: width))
        for row in 0..<rows {
            for column in 0..<width { target[row * width + column] += type[column] }
        }
        return EmbeddingTables(words: words, positions: positions)
    }

    /// A tensor as float32.
    func floats(_ name: String, _ shape: [Int]) throws(ModelError) -> AlignedBuffer {
        let count = shape.reduce(1, *)
        let buffer = AlignedBuffer(floatCount: count)
        try read(name, shape, into: buffer.floats(at: 0, count: count))
        return buffer
    }

    func array(_ name: String, _ shape: [Int]) throws(ModelError) -> [Float] {
        let (tensor, type) = try find(name, shape)
        let count = shape.reduce(1, *)
        var values: [Float] = []
        try file.withBytes(of: tensor) { bytes throws(ModelError) in
            values = [Float](unsafeUninitializedCapacity: count) { target, initialized in
                guard let base = target.baseAddress else { return }
                Kernels.widen(bytes, as: type, into: base)
                initialized = count
            }
        }
        return values
    }

    /// - Precondition: there is room for all values of `shape` behind `target`.
    func read(_ name: String, _ shape: [Int], into target: UnsafeMutablePointer<Float>) throws(ModelError) {
        let (tensor, type) = try find(name, shape)
        try file.withBytes(of: tensor) { bytes throws(ModelError) in Kernels.widen(bytes, as: type, into: target) }
    }

    private func find(_ name: String, _ shape: [Int]) throws(ModelError) -> (SafetensorsFile.Tensor, WeightType) {
        let full = prefix + name
        guard let tensor = file.tensors[full] else {
            throw .tensor(file: file.name, name: full, reason: "is missing")
        }
        guard tensor.shape == shape else {
            throw .tensor(
                file: file.name, name: full, reason: "has shape \(tensor.shape), config.json asks for \(shape)")
        }
        guard let type = WeightType(rawValue: tensor.dtype) else {
            throw .tensor(file: file.name, name: full, reason: "is \(tensor.dtype), supported are F32, F16 and BF16")
        }
        return (tensor, type)
    }
}
