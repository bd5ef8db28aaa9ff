package import Embeddings

extension EncoderModel {
    /// Rows that walk through all layers together. Below 256 OpenBLAS's packing of the weights shows (85 Gflop/s at 128
    /// rows, 98 at 256, 100 at 512, one Zen 4 core); from 256 to 1,024 a whole pass measured the same within 3 %.
    static let passRowCount = 512

    /// One vector of `dimensions` values a sequence, in the batch's order. Synchronous, on the calling thread alone.
    ///
    /// The vector of a sequence does not depend on the layout, nor on its neighbours: to the bit where OpenBLAS's kernel
    /// sums every row alike (its SkylakeX, Cooperlake and Sandybridge kernels do; Haswell's and Zen's round by place in
    /// the batch, in the last bits). A vector may hold values that are not finite: the caller checks.
    ///
    /// - Precondition: ids are in `0..<vocabularySize`, the width is at most `maximumPositionEmbeddings`.
    package func encode(_ batch: PaddedBatch, layout: BatchLayout, workspace: EncoderWorkspace) -> [EmbeddingVector] {
        precondition(batch.width <= maximumPositionEmbeddings)
        precondition(batch.ids.allSatisfy { $0 >= 0 && $0 < vocabularySize })
        var vectors: [EmbeddingVector] = []
        vectors.reserveCapacity(batch.count)
        // Denormal numbers count as zero, since the tails of softmax are slow on some processors otherwise. No longer
        // than the pass lasts: a thread inherits this, and the small halves of stored vectors are denormal.
        Kernels.flushingDenormals {
            var first = 0
            while first < batch.count {
                let end = passEnd(from: first, of: batch, layout)
                encode(first..<end, of: batch, layout, workspace, into: &vectors)
                first = end
            }
        }
        return vectors
    }

    /// Rows that a sequence takes in the layout.
    private func rowCount(_ sequence: Int, _ batch: PaddedBatch, _ layout: BatchLayout) -> Int {
        switch layout {
        case .padded: batch.width
        case .packed: Int(batch.lengths[sequence])
        }
    }

    /// Where the pass that begins with a sequence ends: whole sequences, at least one, of about as many rows as the
    /// passes after it will have.
    private func passEnd(from first: Int, of batch: PaddedBatch, _ layout: BatchLayout) -> Int {
        var remaining = 0
        for sequence in first..<batch.count { remaining += rowCount(sequence, batch, layout) }
        let passCount = (remaining + Self.passRowCount - 1) / Self.passRowCount
        let target = (remaining + passCount - 1) / passCount
        var end = first
        var rows = 0
        while end < batch.count {
            let next = rowCount(end, batch, layout)
            if end > first, rows + next > Self.passRowCount || rows >= target { break }
            rows += next
            end += 1
        }
        return end
    }

    private func encode(
        _ sequences: Range<Int>, of batch: PaddedBatch, _ layout: BatchLayout, _ workspace: EncoderWorkspace,
        into vectors: inout [EmbeddingVector]
    ) {
        let rows = sequences.reduce(0) { $0 + rowCount($1, batch, layout) }
        workspace.reserve(rowCount: rows, width: batch.width, for: self)
        embed(sequences, of: batch, layout, workspace, rowCount: rows)
        for layer in weights.layers {
            attend(layer, sequences, of: batch, layout, workspace, rowCount: rows)
            feedForward(layer, workspace, rowCount: rows)
        }
        var row = 0
        for sequence in sequences {
            vectors.append(pool(sequence, of: batch, row: row, workspace))
            row += rowCount(sequence, batch, layout)
        }
    }

    private func embed(
        _ sequences: Range<Int>, of batch: PaddedBatch, _ layout: BatchLayout, _ workspace: EncoderWorkspace,
        rowCount rows: Int
    ) {
        batch.ids.withUnsafeBufferPointer { ids in
            var row = 0
            for sequence in sequences {
                let count = rowCount(sequence, batch, layout)
                let start = sequence * batch.width
                kernels.embed(
                    UnsafeBufferPointer(rebasing: ids[start..<start + count]), words: weights.words,
                    positions: weights.positions, of: weights.arena, to: &workspace.hidden, row: row, width: hiddenSize)
                row += count
            }
        }
        norm(weights.embeddingNorm, &workspace.hidden, rowCount: rows)
    }

    /// attended = norm(hidden + projection of attention over hidden)
    private func attend(
        _ layer: EncoderWeights.Layer, _ sequences: Range<Int>, of batch: PaddedBatch, _ layout: BatchLayout,
        _ workspace: EncoderWorkspace, rowCount rows: Int
    ) {
        kernels.apply(layer.qkv, of: weights.arena, to: workspace.hidden, into: &workspace.qkv, rowCount: rows)
        let scale = 1 / Float(configuration.headSize).squareRoot()
        var row = 0
        for sequence in sequences {
            let count = rowCount(sequence, batch, layout)
            kernels.attend(
                workspace.qkv, row: row, queryCount: count, keyCount: Int(batch.lengths[sequence]),
                headCount: configuration.headCount, headSize: configuration.headSize, scale: scale,
                into: &workspace.context, scratch: &workspace.attentionScratch)
            row += count
        }
        kernels.apply(
            layer.attentionOutput, of: weights.arena, to: workspace.context, addingTo: workspace.hidden,
            into: &workspace.attended, rowCount: rows)
        norm(layer.attentionNorm, &workspace.attended, rowCount: rows)
    }

    /// hidden = norm(attended + output(activation(intermediate(attended))))
    private func feedForward(_ layer: EncoderWeights.Layer, _ workspace: EncoderWorkspace, rowCount rows: Int) {
        kernels.apply(
            layer.intermediate, of: weights.arena, to: workspace.attended, into: &workspace.intermediate, rowCount: rows
        )
        kernels.activate(
            configuration.activation, &workspace.intermediate, count: rows * configuration.intermediateSize)
        kernels.apply(
            layer.output, of: weights.arena, to: workspace.intermediate, addingTo: workspace.attended,
            into: &workspace.hidden, rowCount: rows)
        norm(layer.outputNorm, &workspace.hidden, rowCount: rows)
    }

    private func norm(_ norm: EncoderWeights.Norm, _ rows: inout FloatBuffer, rowCount: Int) {
        kernels.layerNorm(
            &rows, rowCount: rowCount, width: hiddenSize, gamma: norm.gamma, beta: norm.beta,
            epsilon: configuration.layerNormEpsilon, of: weights.arena)
    }

    private func pool(
        _ sequence: Int, of batch: PaddedBatch, row: Int, _ workspace: EncoderWorkspace
    ) -> EmbeddingVector {
        let length = Int(batch.lengths[sequence])
        var prefix = min(Int(batch.unpooledPrefixes[sequence]), length)
        // sentence-transformers' cls takes the first token where the prompt leaves none.
        if pooling == .cls, prefix == length { prefix = 0 }
        let values = [Float](unsafeUninitializedCapacity: dimensions) { values, count in
            let vector = UnsafeMutableBufferPointer(rebasing: values[0..<dimensions])
            vector.initialize(repeating: 0)
            kernels.pool(
                pooling, workspace.hidden, rows: row + prefix..<row + length, width: hiddenSize, into: vector)
            if normalizes { kernels.normalize(vector) }
            count = dimensions
        }
        return EmbeddingVector(values)
    }
}
