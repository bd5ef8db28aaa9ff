package import Embeddings

extension EncoderModel {
    /// Rows that walk through all layers together: few enough to stay in a core's second cache from step to step, enough
    /// to hide the streaming of the weights.
    static let passRowCount = 192

    /// One vector of `dimensions` values a sequence, in the batch's order. Synchronous, on the calling thread.
    ///
    /// The vector of a sequence has the same bits whatever its neighbours, the layout and the gang. A vector may hold
    /// values that are not finite: the caller checks.
    ///
    /// - Parameters:
    ///   - gang: where other threads may help; nil: the calling thread is alone.
    ///   - betweenSteps: called on the calling thread, three times a layer and between two passes; it may encode with another workspace.
    /// - Precondition: ids are in `0..<vocabularySize`, the width is at most `maximumPositionEmbeddings`.
    package func encode(
        _ batch: PaddedBatch, layout: BatchLayout, workspace: EncoderWorkspace, gang: Gang? = nil,
        betweenSteps: () -> Void = {}
    ) -> [EmbeddingVector] {
        let values = [Float](unsafeUninitializedCapacity: batch.count * dimensions) { values, count in
            encode(
                batch, layout: layout, workspace: workspace, gang: gang, betweenSteps: betweenSteps,
                into: UnsafeMutableBufferPointer(rebasing: values[...]))
            count = batch.count * dimensions
        }
        return (0..<batch.count).map { EmbeddingVector(Array(values[$0 * dimensions..<($0 + 1) * dimensions])) }
    }

    /// The same into `vectors`: (count, dimensions). With a workspace that is large enough it allocates nothing.
    ///
    /// - Parameter clock: learns where the time goes; without a gang alone.
    package func encode(
        _ batch: PaddedBatch, layout: BatchLayout, workspace: EncoderWorkspace, gang: Gang? = nil,
        clock: StageClock? = nil, betweenSteps: () -> Void = {},
        into vectors: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(batch.width <= maximumPositionEmbeddings && vectors.count >= batch.count * dimensions)
        precondition(batch.ids.allSatisfy { $0 >= 0 && $0 < vocabularySize })
        // Denormal numbers count as zero, since the tails of softmax are slow on some processors otherwise. No longer
        // than the pass lasts: a thread inherits this, and the small halves of stored vectors are denormal.
        Kernels.flushingDenormals { (pause: borrowing Kernels.DenormalPause) in
            var first = 0
            while first < batch.count {
                if first > 0 { pause(betweenSteps) }
                let end = passEnd(from: first, of: batch, layout)
                let pass = Pass(model: self, batch: batch, sequences: first..<end, layout: layout, workspace: workspace)
                if let gang {
                    gang.lead(
                        pass, workspace: workspace, isLast: end == batch.count,
                        betweenSteps: { pause(betweenSteps) })
                } else {
                    clock?.begin()
                    var crew = Crew(workspace: workspace, clock: clock)
                    pass.walk(&crew, betweenSteps: { pause(betweenSteps) })
                }
                pass.pool(into: vectors)
                clock?.end(.pool)
                first = end
            }
        }
    }

    /// Where the pass that begins with a sequence ends: whole sequences, at least one, of about as many rows as the
    /// passes after it will have.
    private func passEnd(from first: Int, of batch: PaddedBatch, _ layout: BatchLayout) -> Int {
        var remaining = 0
        for sequence in first..<batch.count { remaining += batch.rowCount(of: sequence, layout) }
        let passCount = (remaining + Self.passRowCount - 1) / Self.passRowCount
        let target = (remaining + passCount - 1) / passCount
        var end = first
        var rows = 0
        while end < batch.count {
            let next = batch.rowCount(of: end, layout)
            if end > first, rows + next > Self.passRowCount || rows >= target { break }
            rows += next
            end += 1
        }
        return end
    }
}
