import ArgumentParser

/// Which sizes of a pass `ovenbird bench` times beside, or rather than, a whole file.
struct SweepOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Time passes of these many sequences, as 1,2,4,8, rather than the whole file.", valueName: "sizes"),
        transform: { try SweepList($0, range: SweepSize.batchRange) })
    var sweepBatch: SweepList?

    @Option(
        help: ArgumentHelp(
            "Time passes of sequences of these many tokens, special tokens included, as 16,64,256; the texts are joined and cut to them.",
            valueName: "lengths"),
        transform: { try SweepList($0, range: SweepSize.lengthRange) })
    var sweepLength: SweepList?

    @Option(help: "Seconds that each size of a sweep is timed for, in three rounds of one pass at least. Default: 1.")
    var sweepSeconds: Int?

    @Option(
        help: ArgumentHelp(
            "Where a chart of the sweep goes: one self-contained file, a page where its name ends in .html, a drawing where in .svg.",
            valueName: "file"),
        transform: { try ChartFile(path: $0) })
    var chart: ChartFile?

    mutating func validate() throws {
        if let sweepSeconds { try requireRange(1...600, of: "--sweep-seconds", sweepSeconds) }
        guard !isAsked else { return }
        if chart != nil { throw ValidationError("--chart draws a sweep; it needs --sweep-batch or --sweep-length") }
        if sweepSeconds != nil {
            throw ValidationError("--sweep-seconds belongs to a sweep; it needs --sweep-batch or --sweep-length")
        }
    }

    var isAsked: Bool { sweepBatch != nil || sweepLength != nil }

    /// Sizes in the order in which they are timed: all batches of a length, then the next length.
    ///
    /// - Parameter limit: tokens that the model takes at most.
    /// - Throws: a usage failure where a length, or all tokens of a pass, are beyond a limit.
    func sizes(lengthLimit limit: Int) throws(CommandFailure) -> [SweepSize] {
        try SweepSize.all(
            batches: sweepBatch?.values ?? [SweepSize.defaultBatch],
            lengths: sweepLength?.values ?? [min(SweepSize.defaultLength, limit)], lengthLimit: limit)
    }
}

/// One pass's size.
package struct SweepSize: Sendable, Hashable {
    /// Sequences.
    package let batch: Int
    /// Tokens of each sequence, special tokens included.
    package let length: Int

    package init(batch: Int, length: Int) {
        self.batch = batch
        self.length = length
    }

    package static let batchRange = 1...4_096
    package static let lengthRange = 1...1_048_576
    /// Tokens of one pass; ids, texts and vectors of a pass are all in memory.
    package static let maximumTokenCount = 4_194_304
    package static let defaultBatch = 32
    package static let defaultLength = 128

    package static func all(
        batches: [Int], lengths: [Int], lengthLimit limit: Int
    ) throws(CommandFailure) -> [SweepSize] {
        if let length = lengths.first(where: { $0 > limit }) {
            throw .usage("--sweep-length holds \(length); this model takes \(limit) tokens, special tokens included")
        }
        let sizes = lengths.flatMap { length in batches.map { SweepSize(batch: $0, length: length) } }
        if let size = sizes.first(where: { $0.batch * $0.length > maximumTokenCount }) {
            throw .usage(
                "--sweep-batch \(size.batch) times --sweep-length \(size.length) is \(size.batch * size.length) tokens; "
                    + "one pass takes \(maximumTokenCount)")
        }
        return sizes
    }
}
