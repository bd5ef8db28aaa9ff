/// Every weight of the encoder as float32 in one arena, and where each stands in it.
struct EncoderWeights: ~Copyable, Sendable {
    /// Offsets in the arena, in floats.
    struct Norm {
        let gamma: Int
        let beta: Int
    }

    struct Layer {
        /// Queries, keys and values as one layer: (hidden, 3 · hidden).
        let qkv: DenseLayer
        let attentionOutput: DenseLayer
        let attentionNorm: Norm
        let intermediate: DenseLayer
        let output: DenseLayer
        let outputNorm: Norm
    }

    let arena: FloatBuffer
    /// (vocabulary, hidden)
    let words: Int
    /// (positions, hidden), the vector of token type 0 added: every token has that type.
    let positions: Int
    let embeddingNorm: Norm
    let layers: [Layer]
    let parameterCount: Int

    init(directory: String, configuration: EncoderConfiguration) throws(ModelError) {
        var loader = try WeightLoader(directory: directory, configuration: configuration)
        let words = try loader.table(
            "embeddings.word_embeddings.weight", [configuration.vocabularySize, configuration.hiddenSize])
        let positions = try loader.positions()
        let embeddingNorm = try loader.norm("embeddings.LayerNorm")
        var layers: [Layer] = []
        for index in 0..<configuration.layerCount { layers.append(try loader.layer(index)) }
        self.words = words
        self.positions = positions
        self.embeddingNorm = embeddingNorm
        self.layers = layers
        parameterCount = loader.parameterCount
        arena = loader.finish()
    }
}

/// Copies tensors from the file into the arena, in the order of the calls.
private struct WeightLoader: ~Copyable {
    private let file: SafetensorsFile
    private let configuration: EncoderConfiguration
    /// `bert.` for models that were saved with a head, else nothing.
    private let prefix: String
    private var arena: FloatBuffer
    /// One tensor before it is transposed.
    private var staging: FloatBuffer
    private var end = 0
    private(set) var parameterCount = 0

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
        // Only tensors that were found take room, so the smaller of both counts is enough: neither a hostile
        // configuration nor a file with other things in it decides alone.
        let stored = file.tensors.values.reduce(0) { $0 + $1.shape.reduce(1, *) }
        let needed = configuration.weightCount
        arena = FloatBuffer(count: min(stored, needed) + 16 * (file.tensors.count + 1))
        staging = FloatBuffer(count: 0)
    }

    private mutating func stage(_ tensor: SafetensorsFile.Tensor, _ type: WeightType) throws(ModelError) {
        let count = tensor.shape.reduce(1, *)
        if staging.count < count { staging = FloatBuffer(count: count) }
        try file.withBytes(of: tensor) { bytes throws(ModelError) in
            Kernels.widen(bytes, as: type, into: &staging, at: 0)
        }
    }

    consuming func finish() -> FloatBuffer { arena }

    /// Every tensor begins at a whole cache line.
    private mutating func reserve(_ count: Int) -> Int {
        let offset = end
        end = (end + count + 15) / 16 * 16
        precondition(end <= arena.count)
        parameterCount += count
        return offset
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

    mutating func table(_ name: String, _ shape: [Int]) throws(ModelError) -> Int {
        let (tensor, type) = try find(name, shape)
        let offset = reserve(shape.reduce(1, *))
        try file.withBytes(of: tensor) { bytes throws(ModelError) in
            Kernels.widen(bytes, as: type, into: &arena, at: offset)
        }
        return offset
    }

    mutating func positions() throws(ModelError) -> Int {
        let width = configuration.hiddenSize
        let rows = configuration.maximumPositionEmbeddings
        let positions = try table("embeddings.position_embeddings.weight", [rows, width])
        let (tensor, type) = try find("embeddings.token_type_embeddings.weight", [configuration.tokenTypeCount, width])
        try stage(tensor, type)
        Kernels.addToRows(staging, of: &arena, at: positions, rowCount: rows, width: width)
        parameterCount += configuration.tokenTypeCount * width
        return positions
    }

    mutating func norm(_ name: String) throws(ModelError) -> EncoderWeights.Norm {
        // TensorFlow's names, which early conversions kept.
        let isOld = file.tensors["\(prefix)\(name).weight"] == nil && file.tensors["\(prefix)\(name).gamma"] != nil
        let width = [configuration.hiddenSize]
        return EncoderWeights.Norm(
            gamma: try table("\(name).\(isOld ? "gamma" : "weight")", width),
            beta: try table("\(name).\(isOld ? "beta" : "bias")", width))
    }

    /// One dense layer of several tensors side by side, each (outputs, inputs) in the file.
    private mutating func dense(_ names: [String], inputs: Int, outputs: Int) throws(ModelError) -> DenseLayer {
        let stride = names.count * outputs
        for name in names {
            _ = try find("\(name).weight", [outputs, inputs])
            _ = try find("\(name).bias", [outputs])
        }
        let weights = reserve(inputs * stride)
        let bias = reserve(stride)
        for (index, name) in names.enumerated() {
            let (matrix, matrixType) = try find("\(name).weight", [outputs, inputs])
            try stage(matrix, matrixType)
            Kernels.transpose(
                staging, rows: outputs, columns: inputs, into: &arena, at: weights + index * outputs, stride: stride)
            let (vector, vectorType) = try find("\(name).bias", [outputs])
            try file.withBytes(of: vector) { bytes throws(ModelError) in
                Kernels.widen(bytes, as: vectorType, into: &arena, at: bias + index * outputs)
            }
        }
        return DenseLayer(weights: weights, bias: bias, inputs: inputs, outputs: stride)
    }

    mutating func layer(_ index: Int) throws(ModelError) -> EncoderWeights.Layer {
        let name = "encoder.layer.\(index)"
        let width = configuration.hiddenSize
        let attention = ["query", "key", "value"].map { "\(name).attention.self.\($0)" }
        return EncoderWeights.Layer(
            qkv: try dense(attention, inputs: width, outputs: width),
            attentionOutput: try dense(["\(name).attention.output.dense"], inputs: width, outputs: width),
            attentionNorm: try norm("\(name).attention.output.LayerNorm"),
            intermediate: try dense(
                ["\(name).intermediate.dense"], inputs: width, outputs: configuration.intermediateSize),
            output: try dense(["\(name).output.dense"], inputs: configuration.intermediateSize, outputs: width),
            outputNorm: try norm("\(name).output.LayerNorm"))
    }
}
