import Embeddings
import Inference

extension ModelFolder {
    /// Precisions in which this processor is fast enough to run an encoder, the most exact first.
    static func availablePrecisions() throws(CommandFailure) -> [Precision] {
        let instructionSet = try instructionSet()
        return Precision.allCases.filter { $0 == .fp32 || instructionSet.isFast(in: $0) }
    }

    /// The encoder of a folder in a precision.
    ///
    /// - Parameter sibling: the same folder's encoder in another precision, with which this one shares what it can.
    /// - Throws: a failure where the processor lacks the precision's instructions, or the folder is none of a model.
    static func encoder(
        in directory: String, precision choice: PrecisionChoice, sharing sibling: EncoderModel? = nil
    ) throws(CommandFailure) -> EncoderModel {
        let instructionSet = try instructionSet()
        return try encoder(
            in: directory, precision: try precision(of: choice), instructionSet: instructionSet, sharing: sibling)
    }

    /// What a choice is on this processor.
    ///
    /// - Throws: a failure where the processor lacks the precision's instructions.
    static func precision(of choice: PrecisionChoice) throws(CommandFailure) -> Precision {
        let instructionSet = try instructionSet()
        guard let precision = choice.precision(on: instructionSet) else {
            throw .failed(
                "--precision \(choice.rawValue) needs instructions that this processor lacks "
                    + "(it has \(instructionSet.rawValue)); use auto or fp32")
        }
        return precision
    }

    /// What every precision is measured against: float32 in plain C and OpenBLAS, which share no code with the kernels
    /// that serve. (The dense layers in plain C alone would take a minute.)
    static func referenceEncoder(in directory: String) throws(CommandFailure) -> EncoderModel {
        let independent = InstructionSet.available.contains(.openblas) ? InstructionSet.openblas : .plain
        return try encoder(in: directory, precision: .fp32, instructionSet: independent, sharing: nil)
    }

    private static func instructionSet() throws(CommandFailure) -> InstructionSet {
        do {
            return try InstructionSet.chosen()
        } catch {
            throw .failed("\(error)")
        }
    }

    private static func encoder(
        in directory: String, precision: Precision, instructionSet: InstructionSet, sharing sibling: EncoderModel?
    ) throws(CommandFailure) -> EncoderModel {
        do {
            return try EncoderModel(
                directory: directory, precision: precision, instructionSet: instructionSet, sharing: sibling)
        } catch {
            throw .failed("the model of '\(directory)' cannot be used: \(error)")
        }
    }
}

extension PrecisionChoice {
    init(_ precision: Precision) {
        switch precision {
        case .fp32: self = .fp32
        case .bf16: self = .bf16
        case .int8: self = .int8
        }
    }
}
