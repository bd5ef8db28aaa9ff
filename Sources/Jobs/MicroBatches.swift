/// Texts cut into calls to the embedder: longest first, so that the calls that end a segment are short ones, and all
/// threads are busy to its end.
package struct MicroBatches {
    package struct Batch: Sendable, Equatable {
        /// Places of the texts, as they were given.
        package let places: [Int]
        /// No text has more tokens than bytes and two special ones, or than the model's limit.
        package let tokenBound: Int
    }

    package let batches: [Batch]

    /// - Parameters:
    ///   - tokenLimit: of one batch, as long as it holds more than one text.
    ///   - sequenceLimit: tokens that the model reads of one text.
    package init(_ texts: [String], textLimit: Int, tokenLimit: Int, sequenceLimit: Int) {
        let bounds = texts.map { min(sequenceLimit, $0.utf8.count + 2) }
        let lengths = texts.map(\.utf8.count)
        var batches: [Batch] = []
        var places: [Int] = []
        var tokenBound = 0
        for place in texts.indices.sorted(by: { (lengths[$1], $0) < (lengths[$0], $1) }) {
            if places.count == textLimit || (!places.isEmpty && tokenBound + bounds[place] > tokenLimit) {
                batches.append(Batch(places: places, tokenBound: tokenBound))
                (places, tokenBound) = ([], 0)
            }
            places.append(place)
            tokenBound += bounds[place]
        }
        if !places.isEmpty { batches.append(Batch(places: places, tokenBound: tokenBound)) }
        self.batches = batches
    }
}
