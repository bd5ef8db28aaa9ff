import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    func createBatch(_ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        let (store, jobs) = try requireBatches()
        let specification = try await jsonBody(request, permit) { value throws(RequestError) in
            let owner = JobOwner(sentIn: request, isKeyed: !configuration.apiKeys.isEmpty)
            return try BatchBody(value).specification(owner: owner, window: configuration.batchWindow)
        }
        let batch = try await stored { () async throws(StorageError) in try await store.createBatch(specification) }
        guard let batch else {
            throw APIError(
                RequestError.batches(.fileUnknown(specification.inputFile.description, field: "input_file_id")))
        }
        onBatchCreated()
        return .json(.ok, try await describe(batch, jobs))
    }

    func listBatches(_ request: Request) async throws(APIError) -> Response {
        let (store, jobs) = try requireBatches()
        var after: BatchID?
        let limit: Int
        do throws(RequestError) {
            let parameters = try QueryParameters(request.uri.query, known: ["after", "limit"])
            if let text = parameters["after"] {
                guard let id = BatchID(text) else { throw .batches(.batchUnknown(text)) }
                after = id
            }
            limit = try parameters.integer("limit", in: 1...100) ?? 20
        } catch { throw APIError(error) }
        let page = try await stored { [after] () async throws(StorageError) in
            try await store.batches(after: after, limit: limit)
        }
        guard let page else { throw APIError(RequestError.batches(.batchUnknown(after?.description ?? ""))) }
        var data: [JSONValue] = []
        for batch in page.batches { data.append(try await describe(batch, jobs)) }
        return .json(.ok, listObject(data, ids: page.batches.map(\.id.description), hasMore: page.hasMore))
    }

    func batch(_ text: String) async throws(APIError) -> Response {
        let (store, jobs) = try requireBatches()
        var batch: Batch?
        if let id = BatchID(text) {
            batch = try await stored { () async throws(StorageError) in try await store.batch(id) }
        }
        guard let batch else { throw APIError(RequestError.batches(.batchUnknown(text))) }
        return .json(.ok, try await describe(batch, jobs))
    }

    func cancelBatch(_ text: String) async throws(APIError) -> Response {
        let (store, jobs) = try requireBatches()
        guard let id = BatchID(text) else { throw APIError(RequestError.batches(.batchUnknown(text))) }
        switch try await stored({ () async throws(StorageError) in try await store.cancelBatch(id) }) {
        case .done(let batch):
            onBatchCreated()
            return .json(.ok, try await describe(batch, jobs))
        case .unknown: throw APIError(RequestError.batches(.batchUnknown(text)))
        case .refused(let status): throw APIError(RequestError.batches(.batchState(status)))
        }
    }

    private func describe(_ batch: Batch, _ jobs: any JobStore) async throws(APIError) -> JSONValue {
        var job: Job?
        switch batch.status {
        case .inProgress, .finalizing, .cancelling:
            if let id = batch.job {
                job = try await stored { () async throws(StorageError) in try await jobs.job(id) }
            }
        case .validating, .failed, .completed, .expired, .cancelled: break
        }
        return batch.json(job: job)
    }
}

/// The body of `POST /v1/batches`, checked.
struct BatchBody {
    let inputFile: FileID
    let metadata: JSONObject?
    let outputLifetime: Duration?

    init(_ value: JSONValue) throws(RequestError) {
        let fields = try Fields(value)
        guard let file = try fields.string("input_file_id") else { throw Self.missing("input_file_id") }
        guard let endpoint = try fields.string("endpoint") else { throw Self.missing("endpoint") }
        guard endpoint == BatchLine.endpoint else {
            throw .invalidValue(field: "endpoint", reason: "endpoint must be '\(BatchLine.endpoint)'")
        }
        guard let window = try fields.string("completion_window") else { throw Self.missing("completion_window") }
        guard window == "24h" else {
            throw .invalidValue(field: "completion_window", reason: "completion_window must be '24h'")
        }
        metadata = try Self.metadata(fields["metadata"])
        outputLifetime = try Self.lifetime(fields["output_expires_after"])
        guard let id = FileID(file) else { throw .batches(.fileUnknown(file, field: "input_file_id")) }
        inputFile = id
    }

    func specification(owner: JobOwner, window: Duration) -> BatchSpecification {
        BatchSpecification(
            inputFile: inputFile, owner: owner, metadata: metadata, completionWindow: window,
            outputLifetime: outputLifetime)
    }

    /// OpenAI's limits.
    private static func metadata(_ value: JSONValue?) throws(RequestError) -> JSONObject? {
        guard let value else { return nil }
        guard case .object(let object) = value else {
            throw Fields.wrongType("metadata", value, wanted: "an object")
        }
        guard object.members.count <= 16 else {
            throw .invalidValue(field: "metadata", reason: "metadata takes at most 16 pairs")
        }
        for member in object.members {
            guard case .string(let text) = member.value, text.count <= 512, member.key.count <= 64,
                !text.utf8.contains(0), !member.key.utf8.contains(0)
            else {
                throw .invalidValue(
                    field: "metadata",
                    reason: "metadata takes keys of at most 64 characters and strings of at most 512, without a NUL")
            }
        }
        return object
    }

    private static func lifetime(_ value: JSONValue?) throws(RequestError) -> Duration? {
        guard let value else { return nil }
        let name = "output_expires_after"
        guard case .object = value else { throw Fields.wrongType(name, value, wanted: "an object") }
        let fields = try Fields(value)
        guard try fields.string("anchor") == ExpiryRule.anchor else {
            throw .invalidValue(field: "\(name).anchor", reason: ExpiryRule.anchorFault)
        }
        guard case .number(let number)? = fields["seconds"], let seconds = number.integer,
            ExpiryRule.seconds.contains(seconds)
        else { throw .invalidValue(field: "\(name).seconds", reason: ExpiryRule.secondsFault) }
        return .seconds(seconds)
    }

    private static func missing(_ name: String) -> RequestError {
        .invalidValue(field: name, reason: "\(name) is missing")
    }
}
