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
    private let calibration: Calibration?
    private let arena: AlignedBuffer
    private var end = 0

    /// - Precondition: there is a calibration where the precision is int8.
    init(
        configuration: EncoderConfiguration, kernels: Kernels, precision: Precision, calibration: Calibration?
    ) {
        precondition(precision != .int8 || calibration?.layers.count == configuration.layerCount)
        self.configuration = configuration
        self.kernels = kernels
        self.precision = precision
        self.calibration = calibration
        arena = AlignedBuffer(byteCount: Self.byteCount(configuration, kernels, precision))
    }

    consuming func finish() -> AlignedBuffer { arena }

    // MARK: Places

    /// Bytes of the arena that a model's norms and layers fill.
    static func byteCount(
        _ configuration: EncoderConfiguration, _ kernels: Kernels, _ precision: Precision
    ) -> Int {
        let (width, inner) = (configuration.hiddenSize, configuration.intermediateSize)
        var end = 0
        _ = place(width: width, &end)
        let norm = end
        for (inputs, outputs, tail) in [
            (width, 3 * width, tailCount(width, precision)), (width, width, 0),
            (width, inner, tailCount(width, precision)), (inner, width, tailCount(inner, precision)),
        ] {
            _ = place(inputs: inputs, outputs: outputs, tailCount: tail, kernels, precision, &end)
        }
        return norm + configuration.layerCount * (end + norm)
    }

    private static func tailCount(_ inputs: Int, _ precision: Precision) -> Int {
        precision == .int8 ? Quantization.tailCount(of: inputs) : 0
    }

    private static func reserve(_ byteCount: Int, _ end: inout Int) -> Int {
        defer { end += (byteCount + 63) / 64 * 64 }
        return end
    }

    private static func place(width: Int, _ end: inout Int) -> Norm {
        let tailCount = Quantization.tailCount(of: width)
        return Norm(
            gamma: reserve(width * 4, &end), beta: reserve(width * 4, &end), quantizedGamma: reserve(width * 4, &end),
            quantizedBeta: reserve(width * 4, &end), tailCount: tailCount, tailColumns: reserve(tailCount * 4, &end),
            tailBeta: reserve(tailCount * 4, &end))
    }

    /// - Parameter inputs: those of the tail included.
    private static func place(
        inputs: Int, outputs: Int, tailCount: Int, _ kernels: Kernels, _ precision: Precision, _ end: inout Int
    ) -> DenseLayer {
        // The tail's inputs keep their places among the bytes, without weight, where a norm writes them all.
        let stepCount = Kernels.stepCount(precision, inputs: inputs)
        let panelCount = kernels.panelCount(outputs: outputs)
        let columns = panelCount * kernels.panelWidth
        let scaleByteCount = precision == .int8 ? columns * 4 : 0
        let tailStepCount = Kernels.stepCount(.bf16, inputs: tailCount)
        return DenseLayer(
            precision: precision, inputs: inputs, outputs: outputs, stepCount: stepCount, panelCount: panelCount,
            panelWidth: kernels.panelWidth, panels: reserve(stepCount * columns * 4, &end),
            bias: reserve(columns * 4, &end), scales: reserve(scaleByteCount, &end),
            sums: reserve(scaleByteCount, &end), tailCount: tailCount, tailStepCount: tailStepCount,
            tailPanels: reserve(tailStepCount * columns * 4, &end))
    }

    // MARK: Reading

    mutating func norm(_ name: String, of file: borrowing WeightFile) throws(ModelError) -> Norm {
        let width = configuration.hiddenSize
        let norm = Self.place(width: width, &end)
        let tensors = file.normTensors(name)
        try file.read(tensors[0], [width], into: arena.floats(at: norm.gamma, count: width))
        try file.read(tensors[1], [width], into: arena.floats(at: norm.beta, count: width))
        return norm
    }

    mutating func layer(
        _ index: Int, of file: borrowing WeightFile, inputNorm: Norm
    ) throws(ModelError) -> EncoderWeights.Layer {
        let name = "encoder.layer.\(index)"
        let statistics = precision == .int8 ? calibration?.layers[index] : nil
        let (width, inner) = (configuration.hiddenSize, configuration.intermediateSize)
        let attention = ["query", "key", "value"].map { (name: "\(name).attention.self.\($0)", outputs: width) }
        var weights = try DenseWeights(attention, of: file, inputs: width)
        if let statistics { fold(inputNorm, into: &weights, statistics.qkv, strength: 0.7) }
        // log2(e)/√d: what softmax raises to is a power of two.
        weights.scaleOutputs(0..<width, by: Float(M_LOG2E / Double(configuration.headSize).squareRoot()))
        let qkv = pack(weights)
        let attentionOutput = pack(
            try DenseWeights([("\(name).attention.output.dense", width)], of: file, inputs: width))
        let attentionNorm = try norm("\(name).attention.output.LayerNorm", of: file)
        var intermediate = try DenseWeights([("\(name).intermediate.dense", inner)], of: file, inputs: width)
        var output = try DenseWeights([("\(name).output.dense", width)], of: file, inputs: inner)
        if let statistics {
            fold(attentionNorm, into: &intermediate, statistics.intermediate, strength: 0.5)
            // The activations of the output's tail stand last, so that it reads them where they are.
            let tail = Quantization(statistics.output, inputs: inner).tail
            let order = Set(tail).symmetricDifference(0..<inner).sorted() + tail
            intermediate.reorderOutputs(order)
            output.reorderInputs(order, tailCount: tail.count)
        }
        return EncoderWeights.Layer(
            qkv: qkv, attentionOutput: attentionOutput, attentionNorm: attentionNorm,
            intermediate: pack(intermediate), output: pack(output),
            outputNorm: try norm("\(name).output.LayerNorm", of: file))
    }

    private mutating func pack(_ weights: borrowing DenseWeights) -> DenseLayer {
        let layer = Self.place(
            inputs: weights.inputs, outputs: weights.outputs, tailCount: weights.tailCount, kernels, precision, &end)
        weights.withPointers { values, bias, tail in
            kernels.pack(values, tail: tail, of: layer, into: arena)
            arena.floats(at: layer.bias, count: weights.outputs).update(from: bias, count: weights.outputs)
        }
        return layer
    }

    /// Lets an int8 layer read the norm's rows centred, divided by factors and without the tail.
    private func fold(
        _ norm: Norm, into weights: inout DenseWeights, _ columns: Calibration.Columns, strength: Double
    ) {
        let inputs = weights.inputs
        let quantization = weights.withPointers { values, _, _ in
            Quantization(columns, weights: values, inputs: inputs, outputs: weights.outputs, strength: strength)
        }
        weights.center(quantization.means)
        weights.takeTail(quantization.tail)
        weights.scaleInputs(quantization.factors)
        let gamma = arena.floats(at: norm.gamma, count: inputs), beta = arena.floats(at: norm.beta, count: inputs)
        let quantizedGamma = arena.floats(at: norm.quantizedGamma, count: inputs)
        let quantizedBeta = arena.floats(at: norm.quantizedBeta, count: inputs)
        for input in 0..<inputs {
            quantizedGamma[input] = gamma[input] / quantization.factors[input]
            quantizedBeta[input] = (beta[input] - quantization.means[input]) / quantization.factors[input]
        }
        let tailColumns = arena.integers(at: norm.tailColumns, count: norm.tailCount)
        let tailBeta = arena.floats(at: norm.tailBeta, count: norm.tailCount)
        for (place, input) in quantization.tail.enumerated() {
            // Zero, so that they do not stretch the range of the others.
            quantizedGamma[input] = 0
            quantizedBeta[input] = 0
            tailColumns[place] = Int32(input)
            tailBeta[place] = beta[input] - quantization.means[input]
        }
    }
}
