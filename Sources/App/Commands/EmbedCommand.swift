import ArgumentParser
import Batching
import Embeddings

/// `ovenbird embed`: offline bulk through the same engine that serves.
struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Embeds a file of texts.",
        discussion: "The input is NDJSON if its first line is an object with \"text\", else each line is a text.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var batching: BatchingOptions

    @Option(help: "NDJSON lines {\"id\",\"text\"}, or one text a line; - is standard input.")
    var input: String = "-"

    @Option(help: "Where the vectors go; - is standard output.")
    var output: String = "-"

    @Option(help: "ndjson: {\"id\",\"embedding\":[…]} lines; f32: little-endian float32 rows; npy: a NumPy array.")
    var format: EmbeddingFormat = .ndjson

    /// Texts that are read, grouped by length and embedded together: enough that nearly equal lengths meet.
    private static let windowSize = 1024
    /// Ends a window of long texts early, so that memory is bounded.
    private static let windowByteCount = 8 << 20
    /// A window waits for the one before it to be written, so that reading never runs ahead of memory.
    private static let windowsInFlight = 3

    func run() async throws {
        let engine = try Engine(model: model, batching: batching)
        // The reader first: an input that is missing must not cost what an earlier run wrote.
        var reader = try TextReader(path: input, blankLines: .skip)
        try OutputFile.refuse(output, asOutputOf: input)
        var writer = try EmbeddingWriter(path: output, format: format, dimensions: engine.description.dimensions)
        var progress = ProgressLine(inputPath: input)
        var written = 0
        try await withThrowingTaskGroup(of: (Int, [TextLine], [Embedding]).self) { group in
            var started = 0
            var finished: [Int: ([TextLine], [Embedding])] = [:]
            var next = 0
            var isAtEnd = false
            while !isAtEnd || next < started {
                while !isAtEnd, started - next < Self.windowsInFlight {
                    let lines = try Self.window(from: &reader)
                    guard !lines.isEmpty else {
                        isAtEnd = true
                        break
                    }
                    let number = started
                    started += 1
                    group.addTask {
                        let request = EmbeddingRequest(inputs: lines.map { .text($0.text) }, lane: .bulk)
                        return (number, lines, try await engine.embedder.embed(request))
                    }
                }
                guard let (number, lines, embeddings) = try await group.next() else { break }
                finished[number] = (lines, embeddings)
                while let (lines, embeddings) = finished.removeValue(forKey: next) {
                    next += 1
                    for (line, embedding) in zip(lines, embeddings) {
                        try writer.write(id: line.id, embedding: embedding)
                    }
                    written += lines.count
                    progress.show(texts: written, readByteCount: reader.consumedByteCount)
                }
            }
        }
        try writer.finish()
        progress.finish(texts: written)
        await engine.close()
    }

    private static func window(from reader: inout TextReader) throws(CommandFailure) -> [TextLine] {
        var lines: [TextLine] = []
        var byteCount = 0
        while lines.count < windowSize, byteCount < windowByteCount, let line = try reader.next() {
            byteCount += line.text.utf8.count
            lines.append(line)
        }
        return lines
    }
}
