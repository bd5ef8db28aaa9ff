import Embeddings
import Foundation
import Inference
import JSON
import Tokenization

/// A model's folder, read into the parts that the engine needs.
enum ModelFolder {
    struct Contents {
        let encoder: EncoderModel
        let tokenizer: TextTokenizer
        let description: ModelDescription
    }

    static func tokenizer(in directory: String) throws(CommandFailure) -> TextTokenizer {
        try check(directory)
        do {
            return try TextTokenizer(directory: directory)
        } catch {
            throw .failed("the tokenizer of '\(directory)' cannot be used: \(error)")
        }
    }

    static func load(_ options: ModelOptions, servedNames: [String]) throws(CommandFailure) -> Contents {
        try check(options.model)
        let encoder: EncoderModel
        do {
            let instructionSet = try InstructionSet.chosen()
            guard let precision = options.precision.precision(on: instructionSet) else {
                throw CommandFailure.failed(
                    "--precision \(options.precision.rawValue) needs instructions that this processor lacks "
                        + "(it has \(instructionSet.rawValue)); use auto or fp32")
            }
            encoder = try EncoderModel(
                directory: options.model, precision: precision, instructionSet: instructionSet)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw .failed("the model of '\(options.model)' cannot be used: \(error)")
        }
        let tokenizer: TextTokenizer
        do {
            tokenizer = try TextTokenizer(directory: options.model, excludesPromptFromPooling: !encoder.includesPrompt)
        } catch {
            throw .failed("the tokenizer of '\(options.model)' cannot be used: \(error)")
        }
        guard tokenizer.vocabularySize <= encoder.vocabularySize else {
            throw .failed(
                "the tokenizer of '\(options.model)' gives ids up to \(tokenizer.vocabularySize - 1), "
                    + "the model knows \(encoder.vocabularySize) (vocab_size)")
        }
        guard tokenizer.paddingID < encoder.vocabularySize else {
            throw .failed(
                "the tokenizer of '\(options.model)' pads with the id \(tokenizer.paddingID), "
                    + "the model knows \(encoder.vocabularySize) (vocab_size)")
        }
        let name = servedNames.first ?? folderName(options.model)
        let description = ModelDescription(
            name: name, servedNames: servedNames + [folderName(options.model)],
            dimensions: encoder.dimensions,
            maximumSequenceLength: tokenizer.maximumSequenceLength, vocabularySize: encoder.vocabularySize,
            precision: encoder.precision,
            fingerprint: try fingerprint(of: options.model, encoder: encoder, tokenizer: tokenizer))
        return Contents(encoder: encoder, tokenizer: tokenizer, description: description)
    }

    private static func check(_ directory: String) throws(CommandFailure) {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw .failed("--model '\(directory)' is not a folder; this version reads models from folders only")
        }
    }

    private static func folderName(_ directory: String) -> String {
        URL(fileURLWithPath: directory).standardizedFileURL.lastPathComponent
    }

    private static func fingerprint(
        of directory: String, encoder: EncoderModel, tokenizer: TextTokenizer
    ) throws(CommandFailure) -> ModelFingerprint {
        let files = ["model.safetensors", "tokenizer.json"].map { (name: $0, path: "\(directory)/\($0)") }
        let facts =
            encoder.facts + tokenizer.facts + [
                (name: "precision_class", value: encoder.precision.fingerprintClass)
            ]
        do {
            return try ModelFingerprint(files: files, facts: facts)
        } catch {
            throw .failed("cannot read the model in '\(directory)': \(error.localizedDescription)")
        }
    }
}
