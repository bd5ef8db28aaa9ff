import Embeddings
import HTTPTypes

/// What a request's method and path ask for. Names and ids are decoded.
enum Route: Equatable {
    case embeddings
    case models
    case model(String)
    case collections
    case createCollection(String)
    case collection(String)
    case dropCollection(String)
    case listDocuments(in: String)
    case upsertDocuments(in: String)
    case deleteDocuments(in: String)
    case document(id: String, in: String)
    case deleteDocument(id: String, in: String)
    case search(in: String)
    case jobs
    case submitJob
    case job(String)
    case deleteJob(String)
    case jobResults(String)
    case jobErrors(String)
    case jobEvents(String)
    case commandJob(String, JobCommand)
    case batches(BatchRoute)
    case liveness
    case readiness
    case metrics
    case info
    case livePage
    case liveEvents

    /// Whether there is a live page.
    enum Dashboard {
        case shown
        case off
    }

    /// - Parameter path: as it was sent, still percent-encoded, so that an encoded slash is no separator.
    init(method: HTTPRequest.Method, path: String, dashboard: Dashboard) throws(RequestError) {
        let choices = try Self.choices(path)
        if dashboard == .off, choices.contains(where: { $0.route == .livePage || $0.route == .liveEvents }) {
            throw .routeUnknown
        }
        guard let choice = choices.first(where: { $0.method == method || ($0.method == .get && method == .head) })
        else {
            throw .methodNotAllowed(allowed: choices.map(\.method.rawValue))
        }
        self = choice.route
    }

    private typealias Choice = (method: HTTPRequest.Method, route: Route)

    private static func choices(_ path: String) throws(RequestError) -> [Choice] {
        var segments: [String] = []
        for segment in path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst() {
            guard let text = PercentCoding.decode(segment, plus: .literal) else {
                throw .invalidValue(field: nil, reason: "the path holds a broken percent-escape")
            }
            segments.append(text)
        }
        switch segments.first {
        case "" where segments.count == 1: return [(.get, .livePage)]
        case "livez" where segments.count == 1: return [(.get, .liveness)]
        case "readyz" where segments.count == 1: return [(.get, .readiness)]
        case "metrics" where segments.count == 1: return [(.get, .metrics)]
        case "info" where segments.count == 1: return [(.get, .info)]
        case "v1": return try versionOne(Array(segments.dropFirst()))
        default: throw .routeUnknown
        }
    }

    private static func versionOne(_ segments: [String]) throws(RequestError) -> [Choice] {
        switch (segments.first, segments.count) {
        case ("embeddings", 1): return [(.post, .embeddings)]
        case ("models", 1): return [(.get, .models)]
        // A model's name is a Hub id and may hold a slash, encoded or not.
        case ("models", 2...): return [(.get, .model(segments.dropFirst().joined(separator: "/")))]
        case ("collections", 1): return [(.get, .collections)]
        case ("collections", 2):
            let name = segments[1]
            return [(.get, .collection(name)), (.put, .createCollection(name)), (.delete, .dropCollection(name))]
        case ("collections", 3...):
            let name = segments[1]
            let rest = segments.dropFirst(3)
            switch (segments[2], rest.isEmpty) {
            case ("search", true): return [(.post, .search(in: name))]
            case ("documents", true): return [(.get, .listDocuments(in: name)), (.post, .upsertDocuments(in: name))]
            case ("documents", false):
                // A slash that a client left unencoded belongs to the id: nothing lies below it.
                let id = rest.joined(separator: "/")
                guard !id.isEmpty else { throw .routeUnknown }
                let choices: [Choice] = [
                    (.get, .document(id: id, in: name)), (.delete, .deleteDocument(id: id, in: name)),
                ]
                return id == "delete" ? choices + [(.post, .deleteDocuments(in: name))] : choices
            default: throw .routeUnknown
            }
        case ("jobs", 1): return [(.get, .jobs), (.post, .submitJob)]
        case ("jobs", 2): return [(.get, .job(segments[1])), (.delete, .deleteJob(segments[1]))]
        case ("jobs", 3): return [try jobChoice(id: segments[1], segments[2])]
        case ("live", 1): return [(.get, .liveEvents)]
        case ("files", _), ("batches", _):
            return try BatchRoute.choices(segments).map { ($0.method, .batches($0.route)) }
        default: throw .routeUnknown
        }
    }

    private static func jobChoice(id: String, _ last: String) throws(RequestError) -> Choice {
        switch last {
        case "results": return (.get, .jobResults(id))
        case "errors": return (.get, .jobErrors(id))
        case "events": return (.get, .jobEvents(id))
        default:
            guard let command = JobCommand(rawValue: last) else { throw .routeUnknown }
            return (.post, .commandJob(id, command))
        }
    }

    /// The label of this route's metrics.
    var template: String {
        switch self {
        case .embeddings: "/v1/embeddings"
        case .models: "/v1/models"
        case .model: "/v1/models/{id}"
        case .collections: "/v1/collections"
        case .createCollection, .collection, .dropCollection: "/v1/collections/{name}"
        case .listDocuments, .upsertDocuments: "/v1/collections/{name}/documents"
        case .deleteDocuments: "/v1/collections/{name}/documents/delete"
        case .document, .deleteDocument: "/v1/collections/{name}/documents/{id}"
        case .search: "/v1/collections/{name}/search"
        case .jobs, .submitJob: "/v1/jobs"
        case .job, .deleteJob: "/v1/jobs/{id}"
        case .jobResults: "/v1/jobs/{id}/results"
        case .jobErrors: "/v1/jobs/{id}/errors"
        case .jobEvents: "/v1/jobs/{id}/events"
        case .commandJob(_, let command): "/v1/jobs/{id}/\(command.rawValue)"
        case .batches(let route): route.template
        case .liveness: "/livez"
        case .readiness: "/readyz"
        case .metrics: "/metrics"
        case .info: "/info"
        case .livePage: "/"
        case .liveEvents: "/v1/live"
        }
    }

    /// Probes carry no key; nor does the page, which holds nothing of the server and asks for one.
    var needsKey: Bool {
        switch self {
        case .liveness, .readiness, .livePage: false
        case .embeddings, .models, .model, .collections, .createCollection, .collection, .dropCollection,
            .listDocuments, .upsertDocuments, .deleteDocuments, .document, .deleteDocument, .search, .jobs, .submitJob,
            .job, .deleteJob, .jobResults, .jobErrors, .jobEvents, .commandJob, .batches, .metrics,
            .info, .liveEvents:
            true
        }
    }
}
