import Embeddings

/// A pass that grows around its seed.
struct PassFilling {
    private(set) var entries: [QueueEntry]
    private let configuration: BatchingConfiguration
    private let seedLength: Int
    private var width: Int
    private var tokenCount: Int

    init(seed: QueueEntry, configuration: BatchingConfiguration) {
        entries = [seed]
        self.configuration = configuration
        seedLength = seed.tokenCount
        width = seed.tokenCount
        tokenCount = seed.tokenCount
    }

    /// Takes the entries whose lengths are nearest to the seed's until none of them fits.
    ///
    /// - Parameter client: whose entries are taken, and only those that leave the free padding to others; nil: everybody's.
    mutating func fill(from lane: inout LaneQueue, of client: ClientID? = nil, rectangleLimit: Int) {
        let freePadding = client == nil ? configuration.freePaddingTokens : 0
        while entries.count < configuration.maximumBatchSequences,
            let entry = lane.takeNearest(
                to: seedLength, of: client, where: { fits($0, rectangleLimit, freePadding: freePadding) })
        {
            entries.append(entry)
            width = max(width, entry.tokenCount)
            tokenCount += entry.tokenCount
        }
    }

    private func fits(_ length: Int, _ rectangleLimit: Int, freePadding: Int) -> Bool {
        let rectangle = (entries.count + 1) * max(width, length)
        let padding = rectangle - tokenCount - length
        let allowance =
            Double(freePadding) + configuration.paddingShare * Double(tokenCount + length)
        return rectangle <= rectangleLimit && Double(padding) <= allowance
    }
}
