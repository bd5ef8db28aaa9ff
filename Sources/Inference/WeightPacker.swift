import Embeddings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Lays norms and packed dense layers into one arena, in the order of the calls.
struct WeightPacker: ~Copyable {
    private let configuration: EncoderConfiguration
    private let kernels: Kernels
    private let precision: Precision
    private let arena: AlignedBuffer
    private var end = 0

    init(configuration: EncoderConfiguration, kernels: Kernels, precision: Precision) {
        self.configuration = configuration
        self.kernels = kernels
        self.precision = precision
        arena = AlignedBuffer(byteCount: Self.byteCount(configuration, kernels, precision))
    }

    consuming func finish() -> AlignedBuffer { arena }

    // MARK: Places

    private static func byteCount(
        _ configuration: EncoderConfiguration, _ kernels: Kernels, _ precision: Precision
    ) -> Int {
        let (width, inner) = (configuration.hiddenSize, configuration.intermediateSize)
        let norm = 3 * rounded(width * 4)
        let layer = [(width, 3 * width), (width, width), (width, inner), (inner, width)].reduce(2 * norm) {
            var end = $0
            _ = place(inputs: $1.0, outputs: $1.1, kernels, precision, &end)
            return end
        }
        return norm + configuration.layerCount * layer
    }

    private static func rounded(_ byteCount: Int) -> Int { (byteCount + 63) / 64 * 64 }

    private static func place(
        inputs: Int, outputs: Int, _ kernels: Kernels, _ precision: Precision, _ end: inout Int
    ) -> DenseLayer {
        func reserve(_ byteCount: Int) -> Int {
            defer { end += rounded(byteCount) }
            return end
        }
        let stepCount = Kernels.stepCount(precision, inputs: inputs)
        let panelCount = kernels.panelCount(outputs: outputs)
        let columns = panelCount * kernels.panelWidth
        return DenseLayer(
            precision: precision, inputs: inputs, outputs: outputs, stepCount: stepCount, panelCount: panelCount,
            panelWidth: kernels.panelWidth, panels: reserve(stepCount * columns * 4), bias: reserve(columns * 4),
            scales: precision == .int8 ? reserve(columns * 4) : 0, sums: precision == .int8 ? reserve(columns * 4) : 0)
    }

    // MARK: Reading

    mutating func norm(_ name: String, of file: borrowing WeightFile) throws(ModelError) -> Norm {
        let width = configuration.hiddenSize
        let size = Self.rounded(width * 4)
        let norm = Norm(gamma: end, beta: end + size, quantizedGamma: end + 2 * size)
        end += 3 * size
        let tensors = file.normTensors(name)
        try file.read(tensors[0], [width], into: arena.floats(at: norm.gamma, count: width))
        try file.read(tensors[1], [width], into: arena.floats(at: norm.beta, count: width))
        return norm
    }

    mutating func layer(
        _ name: String, of file: borrowing WeightFile, inputNorm: Norm
    ) throws(ModelError) -> EncoderWeights.Layer {
        let (width, inner) = (configuration.hiddenSize, configuration.intermediateSize)
        // log2(e)/√d: what softmax raises to is a power of two.
        let scale = Float(M_LOG2E / Double(configuration.headSize).squareRoot())
        let attention = ["query", "key", "value"].map { (name: "\(name).attention.self.\($0)", outputs: width) }
        let qkv = try dense(attention, of: file, inputs: width, firstScale: scale, norm: inputNorm)
        let attentionOutput = try dense([("\(name).attention.output.dense", width)], of: file, inputs: width)
        let attentionNorm = try norm("\(name).attention.output.LayerNorm", of: file)
        return EncoderWeights.Layer(
            qkv: qkv, attentionOutput: attentionOutput, attentionNorm: attentionNorm,
            intermediate: try dense(
                [("\(name).intermediate.dense", inner)], of: file, inputs: width, norm: attentionNorm),
            output: try dense([("\(name).output.dense", width)], of: file, inputs: inner),
            outputNorm: try norm("\(name).output.LayerNorm", of: file))
    }

    /// One dense layer of several tensors side by side, each (outputs, inputs) in the file.
    ///
    /// - Parameters:
    ///   - firstScale: by what weights and bias of the first tensor are multiplied.
    ///   - norm: whose rows it reads, if it reads a norm's.
    private mutating func dense(
        _ parts: [(name: String, outputs: Int)], of file: borrowing WeightFile, inputs: Int, firstScale: Float = 1,
        norm: Norm? = nil
    ) throws(ModelError) -> DenseLayer {
        let outputs = parts.reduce(0) { $0 + $1.outputs }
        let layer = Self.place(inputs: inputs, outputs: outputs, kernels, precision, &end)
        let weights = AlignedBuffer(floatCount: outputs * inputs)
        let bias = arena.floats(at: layer.bias, count: outputs)
        var first = 0
        for (index, part) in parts.enumerated() {
            let values = weights.floats(at: first * inputs * 4, count: part.outputs * inputs)
            try file.read("\(part.name).weight", [part.outputs, inputs], into: values)
            try file.read("\(part.name).bias", [part.outputs], into: bias + first)
            if index == 0, firstScale != 1 {
                for place in 0..<part.outputs * inputs { values[place] *= firstScale }
                for place in 0..<part.outputs { bias[first + place] *= firstScale }
            }
            first += part.outputs
        }
        let values = weights.floats(at: 0, count: outputs * inputs)
        if layer.precision == .int8, let norm { fold(norm, into: values, bias, inputs: inputs, outputs: outputs) }
        kernels.pack(values, outputCount: outputs, firstOutput: 0, of: layer, into: arena)
        return layer
    }

    /// Lets an int8 layer read the norm's rows without beta, which its bias takes over.
    private func fold(
        _ norm: Norm, into weights: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>, inputs: Int,
        outputs: Int
    ) {
        let gamma = arena.floats(at: norm.gamma, count: inputs), beta = arena.floats(at: norm.beta, count: inputs)
        let quantized = arena.floats(at: norm.quantizedGamma, count: inputs)
        for input in 0..<inputs { quantized[input] = gamma[input] }
        for output in 0..<outputs {
            var sum: Float = 0
            for input in 0..<inputs { sum += weights[output * inputs + input] * beta[input] }
            bias[output] += sum
        }
    }
}
