import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import Logging
import NIOCore

/// Answers one request at a time, whatever brought it: who asks, what for, the answer, its metrics.
struct Endpoints: Sendable {
    let configuration: HTTPConfiguration
    let embedder: MeasuredEmbedder
    let store: (any DocumentStore)?
    /// Nil where no database is configured.
    let jobs: (any JobStore)?
    /// Work has come that a runner may take.
    let onJobCommitted: @Sendable () -> Void
    let estimator: WorkEstimator
    let abandonedDrafts: AbandonedDrafts
    let eventStreams: EventStreamLimit
    /// Nil where there is no live page.
    let live: LiveFeed?
    let batches: (any BatchStore)?
    let onBatchCreated: @Sendable () -> Void
    let info: @Sendable () -> JSONValue
    let metricsText: @Sendable () -> String
    let metrics: HTTPMetrics
    let parser: BodyParser
    let bodyBudget: BodyBudget
    let readiness: ReadinessProbe
    let logger: Logger
    let clock: any Clock<Duration>

    /// - Parameter connection: the request's, whose client it is where no key is asked for.
    func respond(to request: Request, on connection: ClientID) async -> Response {
        let start = ContinuousClock.now
        let requestID = RequestID(sentIn: request.headers)
        var logger = self.logger
        logger[metadataKey: "request_id"] = "\(requestID)"
        if let trace = request.headers[.traceParent].flatMap({ TraceContext(traceParent: $0) }) {
            logger[metadataKey: "trace_id"] = "\(trace.traceID)"
            logger[metadataKey: "span_id"] = "\(trace.spanID)"
        }
        let stages = StageTimes()
        return await withLogger(logger) { logger in
            var (template, response) = await StageTimes.$current.withValue(stages) {
                await answerOrError(request, on: connection, arrival: start)
            }
            response.headers[.requestID] = requestID.description
            response.headers[.serverTiming] = stages.serverTiming
            response.headers[.queueETA] = stages.queueETA
            if request.method == .head {
                let hasLength = !response.isProduced
                response = response.createHeadResponse()
                if !hasLength {
                    // Of an unknown length none is told; the encoder then ends what it takes for a body.
                    response.headers[.contentLength] = nil
                    response.headers[.connection] = "close"
                }
            }
            let elapsed = ContinuousClock.now - start
            metrics.record(
                route: template, method: request.method, status: Int(response.status.code), duration: elapsed)
            logger.debug(
                "Answered a request",
                metadata: ["route": "\(template)", "status": "\(response.status.code)", "duration": "\(elapsed)"])
            return response
        }
    }

    /// The answer, and its route as metrics call it.
    private func answerOrError(
        _ request: Request, on connection: ClientID, arrival: ContinuousClock.Instant
    ) async -> (template: String, Response) {
        var template = HTTPMetrics.unknownRoute
        do throws(APIError) {
            try checkHost(request)
            let route: Route
            do throws(RequestError) {
                route = try Route(
                    method: request.method, path: request.uri.path, dashboard: live == nil ? .off : .shown)
            } catch {
                // Without a key nobody learns which paths there are.
                _ = try client(of: request)
                throw APIError(error)
            }
            template = route.template
            let client = route.needsKey ? try client(of: request) : nil
            return (template, try await answer(route, request, client ?? connection, arrival: arrival))
        } catch {
            metrics.countError(code: error.code)
            return (template, error.response)
        }
    }

    /// The answer to what could not even be read as a request.
    func refuse(_ reason: RequestError) -> Response {
        let error = APIError(reason)
        metrics.countError(code: error.code)
        metrics.record(
            route: HTTPMetrics.unknownRoute, method: nil, status: Int(error.status.code), duration: .zero)
        var response = error.response
        response.headers[.requestID] = RequestID(sentIn: [:]).description
        return response
    }

    private func answer(
        _ route: Route, _ request: Request, _ client: ClientID, arrival: ContinuousClock.Instant
    ) async throws(APIError) -> Response {
        // Until the answer is made: what was parsed is needed as long.
        let permit = BodyPermit(bodyBudget)
        defer { permit.giveBack() }
        let call = Call(request: request, client: client, arrival: arrival, permit: permit)
        return switch route {
        case .embeddings: try await embeddings(call)
        case .models: models()
        case .model(let name): try model(named: name)
        case .collections: try await collections()
        case .createCollection(let name): try await createCollection(name, request, permit)
        case .collection(let name): try await collection(name)
        case .dropCollection(let name): try await dropCollection(name)
        case .listDocuments(let name): try await listDocuments(in: name, request)
        case .upsertDocuments(let name): try await upsertDocuments(in: name, call)
        case .deleteDocuments(let name): try await deleteDocuments(in: name, request, permit)
        case .document(let id, let name): try await document(id: id, in: name)
        case .deleteDocument(let id, let name): try await deleteDocument(id: id, in: name)
        case .search(let name): try await search(in: name, call)
        case .jobs: try await listJobs(request)
        case .submitJob: try await submitJob(request, permit)
        case .job(let id): try await job(id)
        case .deleteJob(let id): try await deleteJob(id)
        case .jobResults(let id): try await jobResults(of: id, request)
        case .jobErrors(let id): try await jobErrors(of: id, request)
        case .jobEvents(let id): try await jobEvents(of: id, request)
        case .commandJob(let id, let command): try await apply(command, toJob: id)
        case .batches(let route): try await batches(route, request, permit)
        case .liveness: .json(.ok, ["status": "alive"])
        case .readiness: await readiness(request)
        case .metrics: .text(metricsText())
        case .info: .json(.ok, info())
        case .livePage: LivePage.response
        case .liveEvents: try liveEvents(request)
        }
    }

    private func checkHost(_ request: Request) throws(APIError) {
        guard configuration.bindsLoopback || !configuration.allowedHosts.isEmpty else { return }
        // A browser always sends Host; HTTP/1.0 clients need not.
        guard let authority = request.head.authority else { return }
        let allowed = ["localhost", "127.0.0.1", "[::1]", configuration.host] + configuration.allowedHosts
        let host = HostName(authority: authority).text
        guard allowed.contains(where: { $0.lowercased() == host }) else {
            throw APIError(RequestError.hostRefused(authority))
        }
    }

    /// Whose key the request carries; nil where none is asked for.
    private func client(of request: Request) throws(APIError) -> ClientID? {
        guard !configuration.apiKeys.isEmpty else { return nil }
        let prefix = "bearer "
        guard let header = request.headers[.authorization], header.lowercased().hasPrefix(prefix) else {
            throw APIError(RequestError.keyMissing)
        }
        let candidate = header.utf8.dropFirst(prefix.utf8.count)
        // Every key is compared, so that the time does not tell which one was near.
        var match: Int?
        for (number, key) in configuration.apiKeys.enumerated() where key.matches(candidate) { match = number }
        guard let match else { throw APIError(RequestError.keyWrong) }
        return ClientID("key \(match)")
    }
}

/// `Host` without its port, in lower case.
private struct HostName {
    let text: String

    init(authority: String) {
        let end = authority.hasPrefix("[") ? authority.firstIndex(of: "]").map { authority.index(after: $0) } : nil
        text = String(authority[..<(end ?? authority.lastIndex(of: ":") ?? authority.endIndex)]).lowercased()
    }
}

/// The client's own id of its request, where it is sane, else one that we make.
struct RequestID: CustomStringConvertible {
    let description: String

    init(sentIn headers: HTTPFields) {
        if let sent = headers[.requestID], (1...128).contains(sent.utf8.count),
            sent.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        {
            description = sent
        } else {
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            description = "req_" + String(repeating: "0", count: 16 - digits.count) + digits
        }
    }
}
