import ArgumentParser
import Embeddings
import Inference
import JSON

/// `ovenbird model info`.
struct ModelInfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Tells what a model's folder holds: sizes, rules, tokenizer, fingerprint, precisions, memory.")

    @Argument(help: ArgumentHelp("Folder of the model.", valueName: "dir"))
    var directory: String

    @Flag(help: "One JSON object on the last line of standard output.")
    var json = false

    func run() throws {
        let contents = try ModelFolder.load(directory: directory, precision: .fp32, servedNames: [])
        var info = ModelInfo(contents)
        // Memory is what an encoder takes as it stands, packing included, so each precision is read once.
        for precision in try ModelFolder.availablePrecisions() {
            let encoder =
                precision == .fp32
                ? contents.encoder
                : try ModelFolder.encoder(
                    in: directory, precision: precision, sharing: contents.encoder, tokenizer: contents.tokenizer)
            info.weightByteCounts.append((precision, encoder.weightByteCount))
        }
        print(json ? JSONValue.object(info.json).serialized : info.text)
    }
}
