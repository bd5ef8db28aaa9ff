import HTTPTypes

/// Paths of OpenAI's files and batches.
enum BatchRoute: Equatable {
    case uploadFile
    case files
    case file(String)
    case deleteFile(String)
    case fileContent(String)
    case createBatch
    case batches
    case batch(String)
    case cancelBatch(String)

    /// - Parameter segments: behind `/v1`.
    static func choices(_ segments: [String]) throws(RequestError) -> [(method: HTTPRequest.Method, route: BatchRoute)]
    {
        switch (segments.first, segments.count, segments.last) {
        case ("files", 1, _): return [(.get, .files), (.post, .uploadFile)]
        case ("files", 2, _): return [(.get, .file(segments[1])), (.delete, .deleteFile(segments[1]))]
        case ("files", 3, "content"): return [(.get, .fileContent(segments[1]))]
        case ("batches", 1, _): return [(.get, .batches), (.post, .createBatch)]
        case ("batches", 2, _): return [(.get, .batch(segments[1]))]
        case ("batches", 3, "cancel"): return [(.post, .cancelBatch(segments[1]))]
        default: throw .routeUnknown
        }
    }

    var template: String {
        switch self {
        case .uploadFile, .files: "/v1/files"
        case .file, .deleteFile: "/v1/files/{id}"
        case .fileContent: "/v1/files/{id}/content"
        case .createBatch, .batches: "/v1/batches"
        case .batch: "/v1/batches/{id}"
        case .cancelBatch: "/v1/batches/{id}/cancel"
        }
    }
}
