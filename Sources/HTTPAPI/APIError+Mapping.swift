import Embeddings
import HTTPTypes

// The one place where a reason becomes a status code. No `default`: a new reason must be given its answer here.

extension APIError {
    init(_ error: RequestError) {
        switch error {
        case .invalidJSON(let error):
            self.init(.badRequest, code: "invalid_json", "the body is not valid JSON: \(error)")
        case .invalidValue(let field, let reason):
            self.init(.badRequest, code: "invalid_value", reason, field: field)
        case .tokenInput(let field):
            self.init(
                .badRequest, code: "token_input",
                "input holds token ids; send text (in LangChain: check_embedding_ctx_length=False), or "
                    + "\"token_ids\":\"model\" where the ids are of the served model's own vocabulary",
                field: field)
        case .unknownModel(let name, let served):
            self.init(
                .notFound, code: "model_not_found",
                "the model '\(name.shortened)' is not served here; served: \(served.joined(separator: ", "))",
                field: "model")
        case .bodyTooLarge(let limit):
            self.init(
                .contentTooLarge, code: "body_too_large",
                "the body is larger than \(limit) bytes; documents of any number can be sent as application/x-ndjson")
        case .tooManyBodyBytes(let limit):
            self.init(
                .serviceUnavailable, code: "too_many_body_bytes",
                "the bodies of the requests under way would hold more than \(limit) bytes",
                retryAfter: .seconds(1))
        case .memoryShort:
            self.init(
                .serviceUnavailable, code: "memory_short",
                "the server is near its memory limit, and takes no new bodies until it has done some of its work",
                retryAfter: .seconds(1))
        case .unsupportedContentType(let found, let accepted):
            self.init(
                .unsupportedMediaType, code: "unsupported_content_type",
                "the content type is \(found.map { "'\($0.shortened)'" } ?? "missing"); it must be \(accepted)")
        case .bodyTimedOut:
            self.init(.requestTimeout, code: "body_timeout", "the body did not arrive in time")
        case .bodyIncomplete:
            self.init(.badRequest, code: "body_incomplete", "the connection ended before the body did")
        case .headTimedOut:
            self.init(.requestTimeout, code: "head_timeout", "the request's head did not arrive in time")
        case .malformedRequest:
            self.init(
                .badRequest, code: "malformed_request", "this is not an HTTP/1.1 request, or its head is too large")
        case .hostNotSingle:
            self.init(.badRequest, code: "malformed_request", "an HTTP/1.1 request carries exactly one Host header")
        case .keyMissing:
            self.init(
                .unauthorized, code: "invalid_api_key",
                "an API key is required, in the header 'Authorization: Bearer KEY'",
                headers: [.wwwAuthenticate: "Bearer"])
        case .keyWrong:
            self.init(
                .unauthorized, code: "invalid_api_key", "incorrect API key provided",
                headers: [.wwwAuthenticate: "Bearer"])
        case .hostRefused(let host):
            self.init(
                .misdirectedRequest, code: "host_refused",
                "the server does not answer for the host '\(host.shortened)'; --allowed-host adds one"
            )
        case .routeUnknown: self.init(.notFound, code: "not_found", "there is no such path")
        case .methodNotAllowed(let allowed):
            let methods = allowed.joined(separator: ", ")
            self.init(
                .methodNotAllowed, code: "method_not_allowed", "this path takes \(methods)", headers: [.allow: methods])
        case .collectionUnknown(let name):
            self.init(.notFound, code: "collection_not_found", "there is no collection '\(name)'")
        case .documentUnknown: self.init(.notFound, code: "document_not_found", "there is no document with this id")
        case .collectionDiffers(let existing, let wanted):
            self.init(
                .conflict, code: "collection_differs",
                "the collection '\(existing.name)' exists with model '\(existing.modelName)' "
                    + "(\(existing.fingerprint.short)), metric \(existing.metric.rawValue); asked for was model "
                    + "'\(wanted.modelName)' (\(wanted.fingerprint.short)), metric \(wanted.metric.rawValue)")
        case .modelDiffers(let collection, let served):
            self.init(
                .conflict, code: "model_differs",
                "the collection '\(collection.name)' holds vectors of model '\(collection.modelName)' "
                    + "(\(collection.fingerprint.short)); served is '\(served.name)' (\(served.fingerprint.short))")
        case .databaseNotConfigured:
            self.init(
                .notImplemented, code: "database_not_configured",
                "no database configured; start the server with --database-url")
        case .jobUnknown: self.init(.notFound, code: "job_not_found", "there is no job with this id")
        case .jobState(let state, let command):
            self.init(
                .conflict, code: "job_state", "a job that is \(state.rawValue) does not take '\(command.rawValue)'")
        case .jobNotFinished(let state):
            self.init(
                .conflict, code: "job_not_finished",
                "the job is \(state.rawValue); partial=true answers the results that there are")
        case .resultsDropped:
            self.init(
                .notFound, code: "results_dropped", "the job's results were dropped, as --job-retention asks for")
        case .idempotencyConflict(let id):
            self.init(
                .conflict, code: "idempotency_conflict",
                "this Idempotency-Key was used for another body or other parameters, which made \(id)")
        case .noValidLine(let count):
            self.init(
                .badRequest, code: "no_valid_line",
                "not one of the \(count) lines holds a text that can be embedded; nothing was kept")
        case .rangeNotSatisfiable(let count):
            self.init(
                .rangeNotSatisfiable, code: "range_not_satisfiable", "the answer has \(count) bytes",
                headers: [.contentRange: "bytes */\(count)"])
        case .tooManyEventStreams(let limit):
            self.init(
                .serviceUnavailable, code: "too_many_event_streams",
                "\(limit) event streams are open, as many as there may be; ask for the job itself instead",
                retryAfter: .seconds(10))
        case .batches(let error): self.init(error)
        }
    }

    init(_ error: EmbeddingError) {
        let message = error.description
        switch error {
        case .overloaded(let retryAfter):
            self.init(.tooManyRequests, code: "rate_limit_exceeded", message, retryAfter: retryAfter)
        case .deadlineUnreachable(let retryAfter):
            self.init(.tooManyRequests, code: "deadline_unreachable", message, retryAfter: retryAfter)
        case .deadlineExceeded: self.init(.serviceUnavailable, code: "deadline_exceeded", message)
        case .requestTooLarge: self.init(.contentTooLarge, code: "request_too_large", message)
        case .inputTooLong(let index, _):
            self.init(.badRequest, code: "context_length_exceeded", message, field: "input[\(index)]")
        case .invalidToken(let index, _, _):
            self.init(.badRequest, code: "invalid_token", message, field: "input[\(index)]")
        case .vectorNotFinite(let index):
            self.init(.internalServerError, code: "vector_not_finite", message, field: "input[\(index)]")
        case .computeFailed(let index):
            self.init(.internalServerError, code: "compute_failed", message, field: "input[\(index)]")
        case .shuttingDown:
            self.init(.serviceUnavailable, code: "shutting_down", message, retryAfter: .seconds(5))
        case .cancelled:
            // Nobody reads it; as a 5xx it would be counted as a fault of ours.
            self.init(.init(code: 499, reasonPhrase: "Client Closed Request"), code: "cancelled", message)
        }
    }

    init(_ error: StorageError) {
        let message = error.description
        switch error {
        case .unavailable:
            self.init(.serviceUnavailable, code: "database_unavailable", message, retryAfter: .seconds(2))
        case .collectionNotFound: self.init(.notFound, code: "collection_not_found", message)
        case .notWritable:
            self.init(.serviceUnavailable, code: "database_not_writable", message, retryAfter: .seconds(10))
        case .internalFailure: self.init(.internalServerError, code: "internal_error", message)
        }
    }

    init(_ error: IndexingError) {
        switch error {
        case .embedding(let error): self.init(error)
        case .storage(let error): self.init(error)
        case .contention:
            self.init(
                .serviceUnavailable, code: "write_contention", error.description, retryAfter: .seconds(1))
        }
    }
}

extension StorageError {
    /// What the log gets and the client does not.
    var details: String? {
        switch self {
        case .unavailable(let details), .notWritable(let details), .internalFailure(let details): details
        case .collectionNotFound: nil
        }
    }
}

extension ModelFingerprint {
    /// Enough digits to tell two apart by eye.
    fileprivate var short: String { String(description.prefix(12)) }
}

extension String {
    /// A client's own text, cut so that an error stays readable.
    var shortened: String { count > 100 ? "\(prefix(100))…" : self }
}
