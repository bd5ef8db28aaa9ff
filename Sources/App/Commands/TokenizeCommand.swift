import ArgumentParser
import Embeddings
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

    func run() throws {
        let tokenizer = try ModelFolder.tokenizer(in: model)
        var reader = try TextReader(path: input, blankLines: .keep)
        try OutputFile.refuse(output, asOutputOf: input)
        var file = try OutputFile(path: output)
        var line: [UInt8] = []
        while let text = try reader.next() {
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
        try file.flush()
    }
}
