import Embeddings
import JSON

/// Why a request is refused before it reaches the encoder or the store. Every text is safe to send to a client.
enum RequestError: Error {
    case invalidJSON(JSONError)
    /// A field, named by `field` as the client wrote it, has a value that cannot be.
    case invalidValue(field: String?, reason: String)
    /// Token ids where a text belongs.
    case tokenInput(field: String)
    case unknownModel(String, served: [String])
    case bodyTooLarge(limit: Int)
    /// Bodies of other requests hold what there is for all.
    case tooManyBodyBytes(limit: Int)
    /// The process is near its memory limit.
    case memoryShort
    case unsupportedContentType(String?, accepted: String)
    case bodyTimedOut
    case bodyIncomplete
    case headTimedOut
    case malformedRequest
    /// HTTP/1.1 asks for exactly one `Host`.
    case hostNotSingle
    case keyMissing
    case keyWrong
    case hostRefused(String)
    case routeUnknown
    case methodNotAllowed(allowed: [String])
    case collectionUnknown(CollectionName)
    case documentUnknown
    // Indirect, since an error's size is that of its largest case, and every input of a request has room for one.
    indirect case collectionDiffers(DocumentCollection, wanted: CollectionSpecification)
    indirect case modelDiffers(DocumentCollection, served: ModelDescription)
    case databaseNotConfigured
    case jobUnknown
    case jobState(JobState, command: JobCommand)
    case jobNotFinished(JobState)
    case resultsDropped
    case idempotencyConflict(JobID)
    /// Not one of so many lines can be embedded.
    case noValidLine(lineCount: Int)
    case rangeNotSatisfiable(byteCount: Int)
    case tooManyEventStreams(limit: Int)
    /// Of files and batches.
    case batches(BatchRequestError)
}
