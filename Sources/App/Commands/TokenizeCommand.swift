import ArgumentParser
import Embeddings
import Foundation
import JSON
import Tokenization

/// `ovenbird tokenize`: what the encoder would read.
struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract:
            "Writes one {\"id\",\"ids\":[…]} line a text: token ids, special tokens included, cut at the model's limit."
    )

    @Option(help: "Folder of the model.")
    var model: String

    @Option(help: "NDJSON lines {\"id\",\"text\"}, or one text a line; - is standard input.")
    var input: String = "-"

    @Option(help: "Where the lines go; - is standard output.")
    var output: String = "-"

    @Option(
        help: """
            Reads all texts first, tokenizes them this many times on one thread, and writes texts, bytes, tokens and each \
            round's seconds as one JSON line to standard error.
            """)
    var rounds: Int?

    func validate() throws {
        if let rounds { try requireRange(1...10_000, of: "--rounds", rounds) }
    }

    func run() throws {
        let tokenizer = try ModelFolder.tokenizer(in: model)
        var reader = try TextReader(path: input, blankLines: .keep)
        try OutputFile.refuse(output, asOutputOf: input)
        var file = try OutputFile(path: output)
        var line: [UInt8] = []
        if let rounds {
            let texts = try reader.rest()
            let report = Self.time(texts, rounds: rounds, tokenizer: tokenizer)
            for text in texts { try Self.write(text, tokenizer: tokenizer, to: &file, line: &line) }
            FileHandle.standardError.writeOrLose(report.serialized + "\n")
        } else {
            while let text = try reader.next() {
                try Self.write(text, tokenizer: tokenizer, to: &file, line: &line)
            }
        }
        try file.flush()
    }

    /// - Parameter line: storage that stays from text to text.
    private static func write(
        _ text: TextLine, tokenizer: TextTokenizer, to file: inout OutputFile, line: inout [UInt8]
    ) throws(CommandFailure) {
        line.removeAll(keepingCapacity: true)
        line.append(contentsOf: "{\"id\":".utf8)
        text.id.write(to: &line)
        line.append(contentsOf: ",\"ids\":[".utf8)
        for (place, id) in tokenizer.encode(text.text).ids.enumerated() {
            if place > 0 { line.append(UInt8(ascii: ",")) }
            line.append(contentsOf: String(id).utf8)
        }
        line.append(contentsOf: "]}\n".utf8)
        try file.write(line)
    }

    /// The first round meets an empty word cache. `cpu_seconds` is what this thread worked, which other processes on the
    /// machine change little.
    private static func time(_ texts: [TextLine], rounds: Int, tokenizer: TextTokenizer) -> JSONValue {
        var tokenCount = 0
        var seconds: [JSONValue] = []
        var processorSeconds: [JSONValue] = []
        for _ in 0..<rounds {
            tokenCount = 0
            let start = ContinuousClock.now
            let processorStart = threadProcessorSeconds
            for text in texts { tokenCount += tokenizer.encode(text.text).ids.count }
            processorSeconds.append(.number(JSONNumber(threadProcessorSeconds - processorStart)))
            seconds.append(.number(JSONNumber(Double(seconds: ContinuousClock.now - start))))
        }
        return .object(
            JSONObject([
                "texts": .number(JSONNumber(texts.count)),
                "bytes": .number(JSONNumber(texts.reduce(0) { $0 + $1.text.utf8.count })),
                "tokens": .number(JSONNumber(tokenCount)),
                "seconds": .array(seconds), "cpu_seconds": .array(processorSeconds),
            ]))
    }

    private static var threadProcessorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
