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

    /// What is known before any weight is read: enough to say how much memory the model takes.
    struct Outline {
        let directory: String
        let shape: EncoderShape
        let tokenizer: TextTokenizer
        let precision: Precision
        let choice: PrecisionChoice
    }

    static func outline(_ options: ModelOptions) throws(CommandFailure) -> Outline {
        try outline(directory: options.model, precision: options.precision)
    }

    private static func outline(directory: String, precision choice: PrecisionChoice) throws(CommandFailure) -> Outline
    {
        try check(directory)
        let precision = try precision(of: choice)
        let shape = try shape(of: directory)
        return Outline(
            directory: directory, shape: shape, tokenizer: try tokenizer(in: directory, for: shape),
            precision: precision, choice: choice)
    }

    static func load(_ options: ModelOptions, servedNames: [String]) throws(CommandFailure) -> Contents {
        try load(outline(options), servedNames: servedNames)
    }

    static func load(
        directory: String, precision: PrecisionChoice, servedNames: [String]
    ) throws(CommandFailure) -> Contents {
        try load(outline(directory: directory, precision: precision), servedNames: servedNames)
    }

    /// Reads the weights.
    static func load(_ outline: Outline, servedNames: [String]) throws(CommandFailure) -> Contents {
        let (directory, tokenizer) = (outline.directory, outline.tokenizer)
        let (encoder, warning) = try checkedEncoder(outline)
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
        _ outline: Outline
    ) throws(CommandFailure) -> (EncoderModel, warning: String?) {
        let (directory, precision, tokenizer) = (outline.directory, outline.precision, outline.tokenizer)
        guard precision != .fp32 else { return (try exactEncoder(in: directory), nil) }
        // The exact encoder goes before the other comes: a start never holds the weights twice.
        let lesson = try lesson(from: directory, for: precision, tokenizer: tokenizer)
        let encoder = try encoder(
            in: directory, precision: precision, calibration: lesson.calibration, tables: lesson.tables)
        let report = PrecisionReport(
            reference: lesson.vectors, candidate: PrecisionCheck.vectorsAtStart(encoder, tokenizer: tokenizer),
            precision: precision)
        if report.holds { return (encoder, nil) }
        let reason = "the model of '\(directory)' loses too much in \(report.summary)"
        guard outline.choice == .auto else { throw .failed("\(reason); use --precision fp32") }
        let exact = try self.encoder(in: directory, precision: .fp32, calibration: nil, tables: lesson.tables)
        return (exact, "\(reason); it is computed in fp32")
    }

    /// What another precision takes from the exact encoder.
    private struct Lesson {
        let tables: EmbeddingTables
        let calibration: Calibration?
        let vectors: [[Float]]
    }

    private static func lesson(
        from directory: String, for precision: Precision, tokenizer: TextTokenizer
    ) throws(CommandFailure) -> Lesson {
        let exact = try exactEncoder(in: directory)
        return Lesson(
            tables: exact.tables, calibration: calibration(for: precision, by: exact, tokenizer: tokenizer),
            vectors: PrecisionCheck.vectorsAtStart(exact, tokenizer: tokenizer))
    }

    private static func tokenizer(
        in directory: String, for encoder: EncoderShape
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
