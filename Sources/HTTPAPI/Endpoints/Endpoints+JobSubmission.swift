import Crypto
import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    /// `POST /v1/jobs`: answers when everything is committed, and keeps nothing where it is not.
    func submitJob(_ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        let jobs = try requireJobs()
        let parameters: SubmissionParameters
        do throws(RequestError) {
            guard case .lines = ContentType.read(request.headers) else {
                throw .unsupportedContentType(request.headers[.contentType], accepted: "application/x-ndjson")
            }
            parameters = try SubmissionParameters(request, model: embedder.model, configuration: configuration)
        } catch { throw APIError(error) }
        let collection = try await collection(of: parameters)
        let reader = JobLineReader(
            parser: parser, maximumLineBytes: configuration.maxLineBytes,
            maximumTextBytes: configuration.maxTextBytes, keepsMetadata: collection != nil)
        if parameters.isDryRun {
            return try await dryRun(request, collection: collection, reader: reader, permit)
        }
        var lines = BodyLines(
            request, maximumLineBytes: configuration.maxLineBytes,
            digest: parameters.idempotencyKey == nil ? nil : parameters.digest, permit: permit)
        let owner = JobOwner(sentIn: request, isKeyed: !configuration.apiKeys.isEmpty)
        if let key = parameters.idempotencyKey {
            let earlier = try await stored { () async throws(StorageError) in
                try await jobs.submission(of: owner, key: key)
            }
            if let earlier {
                try await lines.skip()
                guard lines.hash == earlier.hash else {
                    throw APIError(RequestError.idempotencyConflict(earlier.job.id))
                }
                return accepted(earlier.job)
            }
        }
        var intake = makeIntake(
            JobSpecification(
                source: .http, owner: owner, collection: collection, model: embedder.model,
                priority: parameters.priority, idempotencyKey: parameters.idempotencyKey),
            in: jobs)
        let submission: JobSubmission
        do throws(APIError) {
            try await receive(&lines, reader, into: &intake)
            let hash = lines.hash
            submission = try await stored { () async throws(StorageError) in try await intake.commit(hash: hash) }
        } catch {
            await intake.discard()
            throw error
        }
        switch submission {
        case .accepted(let job):
            onJobCommitted()
            return accepted(job)
        case .replayed(let job): return accepted(job)
        case .conflict(let id): throw APIError(RequestError.idempotencyConflict(id))
        }
    }

    func makeIntake(_ specification: JobSpecification, in jobs: any JobStore) -> JobIntake {
        JobIntake(
            store: jobs, specification: specification, configuration: configuration, clock: clock,
            abandoned: abandonedDrafts)
    }

    private func receive(
        _ lines: inout BodyLines, _ reader: JobLineReader, into intake: inout JobIntake
    ) async throws(APIError) {
        var failures: [JobFailure] = []
        while let line = try await lines.next() {
            let index = intake.count
            let input = await reader.read(line, at: index)
            if case .failure(let error) = input.content, failures.count < configuration.maxJobErrors {
                failures.append(JobFailure(index: index, id: input.id, error: error))
            }
            do throws(StorageError) {
                try await intake.add(input, byteCount: line.byteCount)
            } catch {
                log(error)
                throw APIError(error)
            }
            lines.heldBytes = intake.heldBytes
        }
        guard intake.count > 0 else {
            throw APIError(RequestError.invalidValue(field: nil, reason: "the body holds no line"))
        }
        guard intake.invalidCount < intake.count else {
            var error = APIError(RequestError.noValidLine(lineCount: intake.count))
            error.progress = JSONObject(["errors": .array(failures.map(\.json))])
            throw error
        }
    }

    private func accepted(_ job: Job) -> Response {
        let object = JobObject(job: job, retention: configuration.jobRetention).jsonAsSubmitted
        var response = Response.json(.accepted, .object(object))
        response.headers[.location] = "/v1/jobs/\(job.id)"
        return response
    }

    private func collection(of parameters: SubmissionParameters) async throws(APIError) -> DocumentCollection? {
        guard let name = parameters.collection else { return nil }
        let (_, collection) = try await find(name)
        try requireServedModel(of: collection)
        return collection
    }

    func requireJobs() throws(APIError) -> any JobStore {
        guard let jobs else { throw APIError(RequestError.databaseNotConfigured) }
        return jobs
    }
}

/// What a submission says beside its body.
private struct SubmissionParameters {
    var collection: String?
    var model: String?
    var priority = 0
    var isDryRun = false
    var idempotencyKey: String?

    init(_ request: Request, model served: ModelDescription, configuration: HTTPConfiguration) throws(RequestError) {
        let query = try QueryParameters(request.uri.query, known: ["collection", "priority", "model", "dry_run"])
        collection = query["collection"]
        if let name = query["model"] {
            guard served.servedNames.contains(name) else { throw .unknownModel(name, served: served.servedNames) }
            model = name
        }
        priority = try query.integer("priority", in: configuration.jobPriorities) ?? 0
        isDryRun = try query.boolean("dry_run") ?? false
        if let key = request.headers[.idempotencyKey] {
            let limit = configuration.maxIdempotencyKeyBytes
            guard request.headers[values: .idempotencyKey].count == 1 else {
                throw .invalidValue(field: "Idempotency-Key", reason: "Idempotency-Key is given twice")
            }
            guard (1...limit).contains(key.utf8.count), key.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                throw .invalidValue(
                    field: "Idempotency-Key",
                    reason: "Idempotency-Key must have 1 to \(limit) printable ASCII characters")
            }
            // Under its id a batch makes its one job; a job of somebody else's making there would end the batch.
            guard BatchID(key) == nil else {
                throw .invalidValue(
                    field: "Idempotency-Key", reason: "Idempotency-Key must not be a batch's id")
            }
            idempotencyKey = key
        }
    }

    /// Of everything but the body, which follows.
    var digest: SHA256 {
        var digest = SHA256()
        digest.update(parameter: "POST /v1/jobs")
        digest.update(parameter: collection)
        digest.update(parameter: model)
        digest.update(parameter: String(priority))
        return digest
    }
}

extension JobOwner {
    /// - Precondition: where keys are asked for, the request carries one of them.
    init(sentIn request: Request, isKeyed: Bool) {
        guard isKeyed, let header = request.headers[.authorization] else {
            self = .anonymous
            return
        }
        let digest = SHA256.hash(data: Array(header.utf8.dropFirst("bearer ".utf8.count)))
        let digits = digest.prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        self.init(digits.joined())
    }
}

extension HTTPField.Name {
    static var idempotencyKey: HTTPField.Name { known("Idempotency-Key") }
}
