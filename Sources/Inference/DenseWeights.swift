/// One dense layer's weights as they are folded and permuted on their way from the file into panels.
struct DenseWeights {
    /// Those of the tail left out once it is taken by `reorderInputs`.
    private(set) var inputs: Int
    let outputs: Int
    private(set) var tailCount = 0
    /// (outputs, inputs)
    private var values: [Float]
    private var bias: [Float]
    /// (outputs, tail)
    private var tail: [Float] = []

    /// Several tensors side by side, each (outputs, inputs) in the file.
    init(
        _ parts: [(name: String, outputs: Int)], of file: borrowing WeightFile, inputs: Int
    ) throws(ModelError) {
        self.inputs = inputs
        outputs = parts.reduce(0) { $0 + $1.outputs }
        values = []
        bias = []
        values.reserveCapacity(outputs * inputs)
        for part in parts {
            values += try file.array("\(part.name).weight", [part.outputs, inputs])
            bias += try file.array("\(part.name).bias", [part.outputs])
        }
    }

    func withPointers<Result>(
        _ body: (UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ tail: UnsafePointer<Float>?) -> Result
    ) -> Result {
        values.withUnsafeBufferPointer { values in
            bias.withUnsafeBufferPointer { bias in
                tail.withUnsafeBufferPointer { tail in
                    guard let values = values.baseAddress, let bias = bias.baseAddress else {
                        preconditionFailure("a layer without weights")
                    }
                    return body(values, bias, tailCount > 0 ? tail.baseAddress : nil)
                }
            }
        }
    }

    mutating func scaleOutputs(_ range: Range<Int>, by factor: Float) {
        for place in range.lowerBound * inputs..<range.upperBound * inputs { values[place] *= factor }
        for place in range.lowerBound * tailCount..<range.upperBound * tailCount { tail[place] *= factor }
        for output in range { bias[output] *= factor }
    }

    /// For inputs from which their means are taken away: the bias adds what these contributed.
    mutating func center(_ means: [Float]) {
        for output in 0..<outputs {
            var sum: Float = 0
            for input in 0..<inputs { sum += values[output * inputs + input] * means[input] }
            bias[output] += sum
        }
    }

    /// For inputs that are divided by their factors.
    mutating func scaleInputs(_ factors: [Float]) {
        for output in 0..<outputs {
            for input in 0..<inputs { values[output * inputs + input] *= factors[input] }
        }
    }

    /// Moves the weights of some inputs to the tail; zero stays in their place.
    mutating func takeTail(_ columns: [Int]) {
        tailCount = columns.count
        tail = []
        tail.reserveCapacity(outputs * columns.count)
        for output in 0..<outputs {
            for column in columns {
                tail.append(values[output * inputs + column])
                values[output * inputs + column] = 0
            }
        }
    }

    mutating func reorderOutputs(_ order: [Int]) {
        values = order.flatMap { values[$0 * inputs..<($0 + 1) * inputs] }
        tail = order.flatMap { tail[$0 * tailCount..<($0 + 1) * tailCount] }
        bias = order.map { bias[$0] }
    }

    /// Puts the inputs into another order, of which the last become the tail.
    mutating func reorderInputs(_ order: [Int], tailCount count: Int) {
        let (old, kept) = (values, order.count - count)
        let width = inputs
        values = (0..<outputs).flatMap { output in order[..<kept].map { old[output * width + $0] } }
        tail = (0..<outputs).flatMap { output in order[kept...].map { old[output * width + $0] } }
        inputs = kept
        tailCount = count
    }
}
