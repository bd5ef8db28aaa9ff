import Embeddings
import Logging

extension StorageError {
    /// For the log alone: details may name what a client must not know.
    var metadata: Logger.Metadata {
        switch self {
        case .unavailable(let details), .notWritable(let details), .internalFailure(let details):
            ["error": "\(description)", "details": "\(details)"]
        case .collectionNotFound: ["error": "\(description)"]
        }
    }
}
