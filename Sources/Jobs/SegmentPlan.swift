package import Embeddings

/// What is to be computed for a segment: each text once that nobody has a vector of.
package struct SegmentPlan {
    /// Why an input needs no computing, or which text it needs.
    private enum Source {
        case known(KnownEmbedding)
        /// An index into `texts`.
        case text(Int)
    }

    /// Texts without a vector, each once.
    package let texts: [String]
    private let inputs: [SegmentInput]
    private let sources: [Source]
    private let refersWithinJob: Bool

    /// - Parameter refersWithinJob: whether an input may refer to an equal one of its job, as in jobs that keep their
    ///   results themselves; documents of a collection have each a vector of their own.
    package init(_ inputs: [SegmentInput], refersWithinJob: Bool) {
        var known: [String: KnownEmbedding] = [:]
        for input in inputs {
            if let embedding = input.known { known[input.text] = embedding }
        }
        var texts: [String] = []
        var places: [String: Int] = [:]
        sources = inputs.map { input in
            if let embedding = input.known ?? known[input.text] { return .known(embedding) }
            if let place = places[input.text] { return .text(place) }
            places[input.text] = texts.count
            texts.append(input.text)
            return .text(texts.count - 1)
        }
        self.inputs = inputs
        self.texts = texts
        self.refersWithinJob = refersWithinJob
    }

    /// One outcome an input, in order.
    ///
    /// - Parameter results: one for each of `texts`.
    package func outcomes(_ results: [TextResult]) -> [InputOutcome] {
        precondition(results.count == texts.count)
        var firstIndex: [Int: Int] = [:]
        return zip(inputs, sources).map { input, source in
            switch source {
            case .known(.stored(let embedding)):
                return InputOutcome(index: input.index, kind: .deduplicated(embedding))
            case .known(.sameJob(let index)):
                return InputOutcome(index: input.index, kind: .sameAs(index: index))
            case .text(let place):
                defer { if firstIndex[place] == nil { firstIndex[place] = input.index } }
                return InputOutcome(
                    index: input.index, kind: kind(results[place], equalInput: firstIndex[place]))
            }
        }
    }

    private func kind(_ result: TextResult, equalInput: Int?) -> InputOutcome.Kind {
        switch (result, equalInput) {
        case (.failed(let error), _): .failed(error)
        case (.computed(let embedding), nil): .embedded(embedding)
        case (.computed(let embedding), .some(let index)):
            refersWithinJob ? .sameAs(index: index) : .deduplicated(embedding)
        case (.shared(let embedding), _): .deduplicated(embedding)
        }
    }
}

/// What became of one text.
package enum TextResult: Sendable, Equatable {
    case computed(Embedding)
    /// Another segment of this process computed it.
    case shared(Embedding)
    case failed(ItemError)
}
