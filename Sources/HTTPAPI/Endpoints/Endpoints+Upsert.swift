import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore

extension Endpoints {
    func upsertDocuments(in name: String, _ call: Call) async throws(APIError) -> Response {
        switch ContentType.read(call.request.headers) {
        case .json: return try await upsertJSON(in: name, call)
        case .lines: return try await upsertLines(in: name, call)
        case .form, nil:
            throw APIError(
                RequestError.unsupportedContentType(
                    call.request.headers[.contentType], accepted: "application/json or application/x-ndjson"))
        }
    }

    private func upsertJSON(in name: String, _ call: Call) async throws(APIError) -> Response {
        let deadline = try call.deadline(within: configuration.maxRequestTimeout)
        let target = try await upsertTarget(name)
        let documents = try await jsonBody(call.request, call.permit) { value throws(RequestError) in
            let documents = try Fields(value).array("documents") ?? []
            guard !documents.isEmpty else {
                throw .invalidValue(field: "documents", reason: "documents must be a list that is not empty")
            }
            return documents
        }
        let textBytes = documents.reduce(0) { $0 + ($1.object?["text"]?.string?.utf8.count ?? 0) }
        var upsert = makeUpsert(
            target,
            Upsert.Terms(
                lane: configuration.lane(inputCount: documents.count, byteCount: textBytes), client: call.client,
                deadline: deadline, patience: .refusesFirstChunk))
        do throws(APIError) {
            for (index, document) in documents.enumerated() {
                try await upsert.add(document, at: index)
            }
            try await upsert.commit()
        } catch { throw Self.cut(upsert, by: error) }
        return .json(.ok, .object(upsert.report.json))
    }

    /// Reads a line when the one before it has been dealt with: a client can send no faster than documents are written.
    private func upsertLines(in name: String, _ call: Call) async throws(APIError) -> Response {
        let terms = Upsert.Terms(
            lane: .bulk, client: call.client, deadline: try call.deadline(within: configuration.maxRequestTimeout),
            patience: .waits)
        var upsert = makeUpsert(try await upsertTarget(name), terms)
        do throws(APIError) {
            var lines = LineSplitter(limit: configuration.maxLineBytes)
            var body = BodyReader(call.request.body)
            var index = 0
            while var buffer = try await body.next() {
                while let line = lines.next(from: &buffer) {
                    try await add(line, at: index, to: &upsert)
                    index += 1
                }
                do throws(RequestError) {
                    try call.permit.hold(lines.heldBytes + upsert.chunkBytes)
                } catch { throw APIError(error) }
            }
            if let line = lines.finish() { try await add(line, at: index, to: &upsert) }
            try await upsert.commit()
        } catch { throw Self.cut(upsert, by: error) }
        guard upsert.report.total > 0 else {
            throw APIError(RequestError.invalidValue(field: nil, reason: "the body holds no document"))
        }
        return .json(.ok, .object(upsert.report.json))
    }

    private func add(_ line: LineSplitter.Line, at index: Int, to upsert: inout Upsert) async throws(APIError) {
        switch line {
        case .tooLong:
            try await upsert.addFailure("the line is longer than \(configuration.maxLineBytes) bytes", at: index)
        case .text(let buffer):
            guard !buffer.isBlank else { return }
            let value: JSONValue
            do throws(JSONError) {
                value = try await parser.parse(buffer).get()
            } catch {
                return try await upsert.addFailure("the line is not valid JSON: \(error)", at: index)
            }
            try await upsert.add(value, at: index)
        }
    }

    private func upsertTarget(_ name: String) async throws(APIError) -> (any DocumentStore, DocumentCollection) {
        let (store, collection) = try await find(name)
        try requireServedModel(of: collection)
        return (store, collection)
    }

    private func makeUpsert(_ target: (any DocumentStore, DocumentCollection), _ terms: Upsert.Terms) -> Upsert {
        Upsert(
            indexer: DocumentIndexer(embedder: embedder, store: target.0), collection: target.1,
            configuration: configuration, clock: clock, terms: terms)
    }

    private static func cut(_ upsert: Upsert, by error: APIError) -> APIError {
        var error = error
        var progress = upsert.report.json
        progress["resume_at"] = .number(JSONNumber(upsert.resumeIndex))
        error.progress = progress
        return error
    }
}
