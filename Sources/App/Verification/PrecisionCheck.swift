import Embeddings
import Inference
import Tokenization

/// Embeds the built-in texts in plain float32 and in other precisions, and compares. Synchronous, on the calling thread.
enum PrecisionCheck {
    /// Reads the model once for each precision, and once more for the reference.
    static func run(directory: String, precisions: [Precision]) throws(CommandFailure) -> [PrecisionReport] {
        let contents = try ModelFolder.load(directory: directory, precision: .fp32, servedNames: [])
        let sequences = VerificationTexts.all.map { contents.tokenizer.encode($0) }
        let plain = try ModelFolder.referenceEncoder(in: directory)
        // The reference runs each text alone, the others in batches, so that neighbours that disturb a text show too.
        let reference = vectors(sequences, encoder: plain, paddingID: contents.tokenizer.paddingID, batchSize: 1)
        var reports: [PrecisionReport] = []
        for precision in precisions {
            let encoder =
                precision == .fp32
                ? contents.encoder
                : try ModelFolder.encoder(
                    in: directory, precision: precision, sharing: contents.encoder, tokenizer: contents.tokenizer)
            let candidate = vectors(
                sequences, encoder: encoder, paddingID: contents.tokenizer.paddingID, batchSize: batchSize)
            reports.append(PrecisionReport(reference: reference, candidate: candidate, precision: precision))
        }
        return reports
    }

    /// Vectors of so few of the texts that a start hardly takes longer.
    static func vectorsAtStart(_ encoder: EncoderModel, tokenizer: TextTokenizer) -> [[Float]] {
        let short = VerificationTexts.all.map { tokenizer.encode($0) }.filter { $0.ids.count <= startTextLength }
        return vectors(
            Array(short.prefix(startTextCount)), encoder: encoder, paddingID: tokenizer.paddingID, batchSize: batchSize)
    }

    private static let startTextCount = 24
    /// Tokens of the longest of them.
    private static let startTextLength = 32
    private static let batchSize = 8

    private static func vectors(
        _ sequences: [TokenSequence], encoder: EncoderModel, paddingID: Int32, batchSize: Int
    ) -> [[Float]] {
        let width = sequences.map(\.ids.count).max() ?? 1
        let workspace = encoder.makeWorkspace(
            maximumTokenCount: width * batchSize, maximumSequenceLength: width)
        return stride(from: 0, to: sequences.count, by: batchSize).flatMap { start in
            let batch = PaddedBatch(
                Array(sequences[start..<min(sequences.count, start + batchSize)]), paddingID: paddingID)
            return encoder.encode(batch, layout: .packed, workspace: workspace).map(\.values)
        }
    }
}
