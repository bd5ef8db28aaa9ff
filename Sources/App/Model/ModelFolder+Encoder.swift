import Embeddings
import Inference
import Tokenization

extension ModelFolder {
    /// Precisions that are worth choosing on this processor, the most exact first.
    static func availablePrecisions() throws(CommandFailure) -> [Precision] {
        let instructionSet = try instructionSet()
        return Precision.allCases.filter { $0 == .fp32 || instructionSet.offers($0) }
    }

    /// What a choice is on this processor.
    ///
    /// - Throws: a failure where the precision gains nothing on the processor.
    static func precision(of choice: PrecisionChoice) throws(CommandFailure) -> Precision {
        let instructionSet = try instructionSet()
        guard let precision = choice.precision(on: instructionSet) else {
            throw .failed(
                "--precision \(choice.rawValue) gains nothing with \(instructionSet.rawValue), the best that "
                    + "this processor has or what OVENBIRD_ISA names; use auto or fp32")
        }
        return precision
    }

    /// The encoder of a folder in float32.
    static func exactEncoder(in directory: String) throws(CommandFailure) -> EncoderModel {
        try encoder(in: directory, precision: .fp32, instructionSet: try instructionSet())
    }

    /// What every precision is measured against: float32 in plain C and OpenBLAS, which share no code with the kernels
    /// that serve. (The dense layers in plain C alone would take a minute.)
    static func referenceEncoder(in directory: String) throws(CommandFailure) -> EncoderModel {
        let independent = InstructionSet.available.contains(.openblas) ? InstructionSet.openblas : .plain
        return try encoder(in: directory, precision: .fp32, instructionSet: independent)
    }

    /// The same folder's encoder in another precision.
    ///
    /// - Parameter exact: the float32 encoder, with which this one shares its tables, and which calibrates int8.
    static func encoder(
        in directory: String, precision: Precision, sharing exact: EncoderModel, tokenizer: TextTokenizer
    ) throws(CommandFailure) -> EncoderModel {
        try encoder(
            in: directory, precision: precision,
            calibration: calibration(for: precision, by: exact, tokenizer: tokenizer), tables: exact.tables)
    }

    /// The same, where the float32 encoder has been let go.
    static func encoder(
        in directory: String, precision: Precision, calibration: Calibration?, tables: EmbeddingTables
    ) throws(CommandFailure) -> EncoderModel {
        try encoder(
            in: directory, precision: precision, instructionSet: try instructionSet(), calibration: calibration,
            tables: tables)
    }

    /// What an encoder of that precision has to know of the float32 one.
    static func calibration(
        for precision: Precision, by exact: EncoderModel, tokenizer: TextTokenizer
    ) -> Calibration? {
        precision == .int8 ? exact.calibrate(CalibrationTexts.all.map { tokenizer.encode($0) }) : nil
    }

    /// What `config.json` and `modules.json` say.
    static func shape(of directory: String) throws(CommandFailure) -> EncoderShape {
        let instructionSet = try instructionSet()
        do {
            return try EncoderShape(directory: directory, instructionSet: instructionSet)
        } catch {
            throw unusable(directory, error)
        }
    }

    private static func instructionSet() throws(CommandFailure) -> InstructionSet {
        do {
            return try InstructionSet.chosen()
        } catch {
            throw .failed("\(error)")
        }
    }

    private static func encoder(
        in directory: String, precision: Precision, instructionSet: InstructionSet, calibration: Calibration? = nil,
        tables: EmbeddingTables? = nil
    ) throws(CommandFailure) -> EncoderModel {
        do {
            return try EncoderModel(
                directory: directory, precision: precision, instructionSet: instructionSet, calibration: calibration,
                sharing: tables)
        } catch {
            throw unusable(directory, error)
        }
    }

    private static func unusable(_ directory: String, _ error: ModelError) -> CommandFailure {
        .failed("the model of '\(directory)' cannot be used: \(error)")
    }
}
