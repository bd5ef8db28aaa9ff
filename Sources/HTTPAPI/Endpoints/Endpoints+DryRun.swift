import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    /// `POST /v1/jobs?dry_run=true`: reads everything, embeds and keeps nothing.
    func dryRun(
        _ request: Request, collection: DocumentCollection?, reader: JobLineReader, _ permit: BodyPermit
    ) async throws(APIError) -> Response {
        var lines = BodyLines(
            request, maximumLineBytes: configuration.maxLineBytes, digest: nil, permit: permit)
        var run = DryRun(configuration: configuration)
        while let line = try await lines.next() {
            run.add(await reader.read(line, at: run.lineCount))
            lines.heldBytes = run.heldBytes
            if run.isPieceFull { await run.countTokens(with: estimator) }
        }
        await run.countTokens(with: estimator)
        guard run.lineCount > 0 else {
            throw APIError(RequestError.invalidValue(field: nil, reason: "the body holds no line"))
        }
        let rate = await estimator.rate()
        return .json(.ok, .object(run.report(rate: rate, model: embedder.model, isStored: collection != nil)))
    }
}

/// What a job would be, counted line by line.
private struct DryRun {
    private let configuration: HTTPConfiguration
    private(set) var lineCount = 0
    private var invalidCount = 0
    private var failures: [JobFailure] = []
    private var tokenCount = 0
    private var truncatedCount = 0
    private var documentBytes = 0
    private var duplicates: DuplicateCounter
    private var piece: [String] = []
    private var pieceBytes = 0

    init(configuration: HTTPConfiguration) {
        self.configuration = configuration
        duplicates = DuplicateCounter(limit: configuration.maxDryRunHashes)
    }

    var heldBytes: Int { pieceBytes + min(lineCount, configuration.maxDryRunHashes) * 16 }
    var isPieceFull: Bool {
        piece.count >= configuration.jobInputsPerAppend || pieceBytes >= configuration.jobBytesPerAppend
    }

    mutating func add(_ input: JobInput) {
        switch input.content {
        case .success(let content):
            piece.append(content.text)
            pieceBytes += content.text.utf8.count
            _ = duplicates.add(UInt64(bitPattern: Int64(ExactText(content.text).hashValue)))
            documentBytes += StorageEstimate.documentBytes(id: input.id, content)
        case .failure(let error):
            invalidCount += 1
            if failures.count < configuration.maxJobErrors {
                failures.append(JobFailure(index: lineCount, id: input.id, error: error))
            }
        }
        lineCount += 1
    }

    mutating func countTokens(with estimator: WorkEstimator) async {
        guard !piece.isEmpty else { return }
        for text in await estimator.count(piece) {
            tokenCount += text.count
            truncatedCount += text.isTruncated ? 1 : 0
        }
        piece.removeAll(keepingCapacity: true)
        pieceBytes = 0
    }

    func report(
        rate: (tokensPerSecond: Double, basis: WorkEstimator.Basis)?, model: ModelDescription, isStored: Bool
    ) -> JSONObject {
        let validCount = lineCount - invalidCount
        let distinctCount = duplicates.distinctCount
        // Equal texts are embedded once.
        let share = validCount == 0 ? 0 : Double(distinctCount) / Double(validCount)
        var object = JSONObject()
        object["object"] = "job.dry_run"
        object["lines"] = number(lineCount)
        object["valid"] = number(validCount)
        object["invalid"] = number(invalidCount)
        object["errors"] = .array(failures.map(\.json))
        object["tokens"] = number(tokenCount)
        object["duplicates"] = number(validCount - distinctCount)
        object["duplicates_estimated"] = .bool(duplicates.isEstimate)
        object["truncated"] = [
            "inputs": number(truncatedCount),
            "share": .number(JSONNumber(validCount == 0 ? 0 : Double(truncatedCount) / Double(validCount))),
        ]
        object["predicted_seconds"] =
            rate.map { .number(JSONNumber((Double(tokenCount) * share / $0.tokensPerSecond * 100).rounded() / 100)) }
            ?? .null
        object["basis"] = rate.map { .string($0.basis.rawValue) } ?? .null
        let storage = StorageEstimate(
            dimensions: model.dimensions, inputCount: validCount, distinctCount: distinctCount,
            documentBytes: documentBytes, isStored: isStored)
        object["storage"] = [
            "vectors_bytes": number(storage.vectorBytes), "documents_bytes": number(storage.documentBytes),
            "hnsw_index_bytes": number(storage.indexBytes), "total_bytes": number(storage.totalBytes),
        ]
        return object
    }

    private func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
}
