import Embeddings
import HTTPTypes

/// Why a request about files or batches is refused.
enum BatchRequestError: Error {
    case fileUnknown(String, field: String?)
    case fileInUse(by: BatchID)
    case fileTooLarge(limit: Int)
    /// Its results were dropped.
    case contentDropped
    case purposeUnsupported(String)
    case malformedForm(MultipartParser.Failure)
    case uploadLost
    case batchUnknown(String)
    case batchState(BatchStatus)
}

extension APIError {
    init(_ error: BatchRequestError) {
        switch error {
        case .fileUnknown(let id, let field):
            self.init(.notFound, code: "file_not_found", "there is no file '\(id.shortened)'", field: field)
        case .fileInUse(let batch):
            self.init(
                .conflict, code: "file_in_use", "\(batch) reads the file; cancel it, or wait until it is validated")
        case .fileTooLarge(let limit):
            self.init(
                .contentTooLarge, code: "file_too_large", "the file has more than \(limit) bytes (--max-file-bytes)",
                field: "file")
        case .contentDropped:
            self.init(
                .notFound, code: "results_dropped", "the file's results were dropped, as --job-retention asks for")
        case .purposeUnsupported(let purpose):
            self.init(
                .badRequest, code: "invalid_value", "purpose '\(purpose.shortened)' is not supported; 'batch' is",
                field: "purpose")
        case .malformedForm(let failure):
            let reason =
                switch failure {
                case .headersTooLong(let limit): "a part's headers have more than \(limit) bytes"
                case .malformedHeader: "a part has a header that is none"
                case .dispositionMissing: "a part has no 'Content-Disposition: form-data' with a name"
                case .unfinished: "the body ends before its closing boundary"
                }
            self.init(.badRequest, code: "invalid_multipart", "the body is not valid multipart/form-data: \(reason)")
        case .uploadLost:
            self.init(.requestTimeout, code: "upload_abandoned", "the upload rested so long that it was dropped")
        case .batchUnknown(let id):
            self.init(.notFound, code: "batch_not_found", "there is no batch '\(id.shortened)'")
        case .batchState(let status):
            self.init(.conflict, code: "batch_state", "a batch that is \(status.rawValue) cannot be cancelled")
        }
    }
}
