import Embeddings

/// Some sequences of a batch on their way through all layers.
struct Pass {
    private let model: EncoderModel
    private let batch: PaddedBatch
    private let sequences: Range<Int>
    private let layout: BatchLayout
    private let workspace: EncoderWorkspace.Places
    private let rowCount: Int

    init(
        model: EncoderModel, batch: PaddedBatch, sequences: Range<Int>, layout: BatchLayout, workspace: EncoderWorkspace
    ) {
        self.model = model
        self.batch = batch
        self.sequences = sequences
        self.layout = layout
        rowCount = sequences.reduce(0) { $0 + batch.rowCount(of: $1, layout) }
        workspace.reserve(rowCount: rowCount, width: batch.width, for: model)
        self.workspace = workspace.places
    }

    private var kernels: Kernels { model.kernels }
    private var configuration: EncoderConfiguration { model.configuration }
    /// Of what stands between the dense layers.
    private var isNarrow: Bool { model.precision != .fp32 }
    private var normed: LayerInput { workspace.normed(for: model.precision) }

    /// What may look at a layer's input: which of the layers, which of its inputs.
    typealias Observer = (Int, WritableKeyPath<Calibration.Layer, Calibration.Columns>, Rows) -> Void

    /// Takes the rows through all layers; they end in the workspace's `hidden`.
    ///
    /// - Parameter betweenSteps: called three times a layer, a third of its work apart.
    func walk(_ crew: inout Crew, observer: Observer? = nil, betweenSteps: () -> Void = {}) {
        embed(&crew)
        let layers = model.weights.layers
        for (index, layer) in layers.enumerated() {
            if index > 0 { betweenSteps() }
            observer?(index, \.qkv, normed.rows)
            // hidden = norm(hidden + projection of what attention mixed)
            apply(layer.qkv, .qkv, to: normed, into: workspace.qkv, .store, &crew)
            attend(&crew)
            let mixed = readable(
                workspace.context, by: layer.attentionOutput, .attentionOutput, workspace.input, &crew)
            apply(layer.attentionOutput, .attentionOutput, to: mixed, into: workspace.hidden, .add, &crew)
            norm(layer.attentionNorm, for: layer.intermediate, &crew)
            betweenSteps()
            observer?(index, \.intermediate, normed.rows)
            // hidden = norm(hidden + output(activation(intermediate(hidden))))
            apply(
                layer.intermediate, .feedForward, to: normed, into: workspace.intermediate,
                .activate(configuration.activation), &crew)
            betweenSteps()
            let inner = readable(
                workspace.intermediate, by: layer.output, .feedForward, workspace.quantized, &crew)
            observer?(index, \.output, inner.rows)
            apply(layer.output, .feedForward, to: inner, into: workspace.hidden, .add, &crew)
            norm(layer.outputNorm, for: index + 1 < layers.count ? layers[index + 1].qkv : nil, &crew)
        }
    }

    /// Walks what it can of the pass of another thread.
    ///
    /// - Parameter workspace: the calling thread's own.
    func help(_ workspace: EncoderWorkspace, gang: Gang, recall: Recall) {
        workspace.reserve(rowCount: 0, width: batch.width, for: model)
        Kernels.flushingDenormals {
            var crew = Crew(workspace: workspace, gang: gang, recall: recall)
            walk(&crew)
        }
    }

    /// Steps of a walk, at most.
    var stepLimit: Int { 4 + 12 * model.weights.layers.count }

    /// About what a step over all rows, that many values wide, takes one core.
    private func rowTime(width: Int) -> Int { rowCount * width / 4 }

    private func embed(_ crew: inout Crew) {
        crew.divide(sequences.count, of: .embed, nanoseconds: rowTime(width: model.hiddenSize)) { range in
            batch.ids.withUnsafeBufferPointer { ids in
                var row = firstRow(of: sequences.lowerBound + range.lowerBound)
                for sequence in sequences.lowerBound + range.lowerBound..<sequences.lowerBound + range.upperBound {
                    let count = batch.rowCount(of: sequence, layout)
                    let start = sequence * batch.width
                    kernels.embed(
                        UnsafeBufferPointer(rebasing: ids[start..<start + count]), from: model.weights.tables,
                        to: workspace.hidden, row: row, width: model.hiddenSize)
                    row += count
                }
            }
        }
        norm(model.weights.embeddingNorm, for: model.weights.layers.first?.qkv, &crew)
    }

    private func firstRow(of sequence: Int) -> Int {
        var row = 0
        for earlier in sequences.lowerBound..<sequence { row += batch.rowCount(of: earlier, layout) }
        return row
    }

    private func apply(
        _ layer: DenseLayer, _ stage: StageClock.Stage, to input: LayerInput, into out: Rows, _ epilogue: Epilogue,
        _ crew: inout Crew
    ) {
        var isNarrow = isNarrow
        if case .add = epilogue { isNarrow = false }
        crew.divide(
            layer.panelCount, of: stage, nanoseconds: layer.panelByteCount / 16 * max(1, rowCount / 16)
        ) { panels in
            kernels.apply(
                layer, of: model.weights.arena, panels: panels, to: input, into: out, epilogue, isNarrow: isNarrow,
                rowCount: rowCount)
        }
    }

    private func attend(_ crew: inout Crew) {
        let own = crew.workspace
        let heads = configuration.headCount
        // Of each sequence its heads: a lone one is divided, too.
        crew.divide(
            sequences.count * heads, of: .attention,
            nanoseconds: rowCount * (32 + batch.width) * model.hiddenSize / 20
        ) { range in
            var next = range.lowerBound
            var row = firstRow(of: sequences.lowerBound + next / heads)
            while next < range.upperBound {
                let sequence = sequences.lowerBound + next / heads
                let end = min(next / heads * heads + heads, range.upperBound)
                let count = batch.rowCount(of: sequence, layout)
                kernels.attend(
                    workspace.qkv, row: row, queryCount: count, keyCount: Int(batch.lengths[sequence]),
                    heads: next % heads..<next % heads + end - next, headCount: heads,
                    headSize: configuration.headSize, precision: model.precision, into: workspace.context,
                    scratch: own.attentionScratch)
                next = end
                row += count
            }
        }
    }

    /// Rows of what stands between the layers, as a layer reads them: an int8 layer's are quantized into `bytes`, but for
    /// the last columns, which are its tail.
    private func readable(
        _ rows: Rows, by layer: DenseLayer, _ stage: StageClock.Stage, _ bytes: Rows, _ crew: inout Crew
    ) -> LayerInput {
        guard layer.precision == .int8 else { return LayerInput(rows: rows) }
        crew.divide(rowCount, of: stage, nanoseconds: rowTime(width: layer.inputs)) { range in
            kernels.quantize(
                rows, range: range, width: layer.inputs, into: bytes, ranges: workspace.ranges)
        }
        let tail = layer.tailCount > 0 ? rows.columns(from: 2 * layer.inputs) : nil
        return LayerInput(rows: bytes, ranges: workspace.ranges, tail: tail)
    }

    /// Normalises `hidden`, and leaves what the next layer reads.
    private func norm(_ norm: Norm, for next: DenseLayer?, _ crew: inout Crew) {
        let precision = next?.precision ?? .fp32
        crew.divide(rowCount, of: .norm, nanoseconds: rowTime(width: model.hiddenSize)) { range in
            kernels.layerNorm(
                norm, of: model.weights.arena, epsilon: configuration.layerNormEpsilon, width: model.hiddenSize,
                workspace.hidden, range: range, copy: next == nil ? nil : normed, precision: precision)
        }
    }

    /// Pools every sequence into its row of `vectors`: (batch's count, dimensions).
    func pool(into vectors: UnsafeMutableBufferPointer<Float>) {
        var row = 0
        for sequence in sequences {
            let length = Int(batch.lengths[sequence])
            var prefix = min(Int(batch.unpooledPrefixes[sequence]), length)
            // sentence-transformers' cls takes the first token where the prompt leaves none.
            if model.pooling == .cls, prefix == length { prefix = 0 }
            let start = sequence * model.dimensions
            let vector = UnsafeMutableBufferPointer(rebasing: vectors[start..<start + model.dimensions])
            kernels.pool(
                model.pooling, workspace.hidden, rows: row + prefix..<row + length, width: model.hiddenSize,
                into: vector)
            if model.normalizes { kernels.normalize(vector) }
            row += batch.rowCount(of: sequence, layout)
        }
    }
}

extension PaddedBatch {
    /// Rows that a sequence takes in the layout.
    func rowCount(of sequence: Int, _ layout: BatchLayout) -> Int {
        switch layout {
        case .padded: width
        case .packed: Int(lengths[sequence])
        }
    }
}
