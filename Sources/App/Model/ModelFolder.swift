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
        /// Why `auto` did not choose the faster precision, if it did not although the processor has it.
        let warning: String?
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
        try load(directory: options.model, precision: options.precision, servedNames: servedNames)
    }

    static func load(
        directory: String, precision: PrecisionChoice, servedNames: [String]
    ) throws(CommandFailure) -> Contents {
        try check(directory)
        // Before the weights are read.
        _ = try Self.precision(of: precision)
        let exact = try exactEncoder(in: directory)
        let tokenizer = try tokenizer(in: directory, for: exact)
        let (encoder, warning) = try checkedEncoder(
            in: directory, precision: precision, exact: exact, tokenizer: tokenizer)
        let name = servedNames.first ?? folderName(directory)
        let description = ModelDescription(
            name: name, servedNames: servedNames + [folderName(directory)],
            dimensions: encoder.dimensions,
            maximumSequenceLength: tokenizer.maximumSequenceLength, vocabularySize: encoder.vocabularySize,
            precision: encoder.precision,
            fingerprint: try fingerprint(of: directory, encoder: encoder, tokenizer: tokenizer))
        return Contents(encoder: encoder, tokenizer: tokenizer, description: description, warning: warning)
    }

    /// The encoder in the chosen precision, if it holds that precision's line on this model; where `auto` chose one that
    /// does not, the exact encoder.
    private static func checkedEncoder(
        in directory: String, precision choice: PrecisionChoice, exact: EncoderModel, tokenizer: TextTokenizer
    ) throws(CommandFailure) -> (EncoderModel, warning: String?) {
        let precision = try precision(of: choice)
        guard precision != .fp32 else { return (exact, nil) }
        let encoder = try encoder(in: directory, precision: precision, sharing: exact, tokenizer: tokenizer)
        let report = PrecisionCheck.atStart(encoder, exact: exact, tokenizer: tokenizer)
        if report.holds { return (encoder, nil) }
        let reason = "the model of '\(directory)' loses too much in \(report.summary)"
        guard choice == .auto else { throw .failed("\(reason); use --precision fp32") }
        return (exact, "\(reason); it is computed in fp32")
    }

    private static func tokenizer(
        in directory: String, for encoder: EncoderModel
    ) throws(CommandFailure) -> TextTokenizer {
        let tokenizer: TextTokenizer
        do {
            tokenizer = try TextTokenizer(directory: directory, excludesPromptFromPooling: !encoder.includesPrompt)
        } catch {
            throw .failed("the tokenizer of '\(directory)' cannot be used: \(error)")
        }
        guard tokenizer.vocabularySize <= encoder.vocabularySize else {
            throw .failed(
                "the tokenizer of '\(directory)' gives ids up to \(tokenizer.vocabularySize - 1), "
                    + "the model knows \(encoder.vocabularySize) (vocab_size)")
        }
        guard tokenizer.paddingID < encoder.vocabularySize else {
            throw .failed(
                "the tokenizer of '\(directory)' pads with the id \(tokenizer.paddingID), "
                    + "the model knows \(encoder.vocabularySize) (vocab_size)")
        }
        return tokenizer
    }

    private static func check(_ directory: String) throws(CommandFailure) {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw .failed("the model '\(directory)' is not a folder; this version reads models from folders only")
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
            // Counts how int8 was calibrated: texts, strengths, tails. A change of one takes the next number.
            + (encoder.precision == .int8 ? [(name: "int8_calibration", value: "1")] : [])
        do {
            return try ModelFingerprint(files: files, facts: facts)
        } catch {
            throw .failed("cannot read the model in '\(directory)': \(error.localizedDescription)")
        }
    }
}
