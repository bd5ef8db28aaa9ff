import Embeddings
import HTTPTypes
import JSON

/// The answers to an ended batch's requests, in the order of its file, made of its job's results. The same at each reading.
struct BatchAnswers {
    private let batch: Batch
    private let store: any BatchStore
    private let jobs: any JobStore
    private let pageSize: Int
    /// Why a request has no answer that was not reached.
    private let unreached: ItemError
    /// Whether its job was stopped; what it did not reach then has an error of that name.
    private let wasStopped: Bool

    private var requests: ArraySlice<BatchRequest> = []
    private var lastLine = 0
    private var results: ArraySlice<JobResult> = []
    private var lastIndex: Int?
    private var hasMoreResults: Bool

    /// - Parameter job: the batch's as it is now, ended; nil where there is none.
    init(of batch: Batch, ending: BatchEnding, job: Job?, store: any BatchStore, jobs: any JobStore, pageSize: Int) {
        self.batch = batch
        self.store = store
        self.jobs = jobs
        self.pageSize = pageSize
        hasMoreResults = job != nil
        wasStopped = job?.state == .cancelled
        unreached =
            switch ending {
            case .expired:
                ItemError(
                    code: "batch_expired",
                    message: "This request could not be executed before the completion window expired.")
            case .cancelled:
                ItemError(code: "batch_cancelled", message: "The batch was cancelled before this request was executed.")
            case .completed:
                job?.failure ?? ItemError(code: "not_executed", message: "The batch's job ended before this request.")
            }
    }

    mutating func next() async throws(StorageError) -> BatchAnswer? {
        if requests.isEmpty {
            requests = try await store.requests(of: batch.id, afterLine: lastLine, limit: pageSize)[...]
        }
        guard let request = requests.popFirst() else { return nil }
        lastLine = request.line
        return BatchAnswer(batch: batch, request: request, outcome: try await outcome(of: request))
    }

    private mutating func outcome(of request: BatchRequest) async throws(StorageError) -> BatchAnswer.Outcome {
        switch request.content {
        case .refused(let error, let parameter): return .refused(error, parameter: parameter)
        case .embedded(let inputs, let format):
            var embeddings: [Embedding] = []
            var failure: ItemError?
            while let result = try await nextResult(below: inputs.upperBound) {
                switch result.outcome {
                case .success(let embedding): embeddings.append(embedding)
                case .failure(let error) where wasStopped && error.code == JobState.cancelled.rawValue: continue
                case .failure(let error): failure = failure ?? error
                }
            }
            if let failure { return .failed(failure) }
            return embeddings.count == inputs.count ? .embedded(embeddings, format) : .unreached(unreached)
        }
    }

    private mutating func nextResult(below end: Int) async throws(StorageError) -> JobResult? {
        if results.isEmpty, hasMoreResults, let job = batch.job {
            let page = try await jobs.results(of: job, after: lastIndex, limit: pageSize)
            hasMoreResults = page.count == pageSize
            lastIndex = page.last?.index ?? lastIndex
            results = page[...]
        }
        guard let result = results.first, result.index < end else { return nil }
        return results.removeFirst()
    }
}

/// One request's answer.
struct BatchAnswer {
    enum Outcome {
        case embedded([Embedding], AnswerFormat)
        /// As `/v1/embeddings` refuses it.
        case refused(ItemError, parameter: String?)
        /// One of its texts got no vector.
        case failed(ItemError)
        /// It was not executed.
        case unreached(ItemError)
    }

    let batch: Batch
    let request: BatchRequest
    let outcome: Outcome

    var part: BatchPart {
        switch outcome {
        case .embedded: .output
        case .refused, .failed, .unreached: .error
        }
    }

    var tokenCount: Int {
        switch outcome {
        case .embedded(let embeddings, _): embeddings.reduce(0) { $0 + $1.tokenCount }
        case .refused, .failed, .unreached: 0
        }
    }

    /// Its line in the batch's output or error file, with the newline.
    func writeLine(to bytes: inout [UInt8]) {
        let name = "\(batch.id.suffix)_\(request.line)"
        bytes.append(contentsOf: #"{"id":"batch_req_\#(name)","custom_id":"#.utf8)
        request.customID.writeJSON(to: &bytes)
        bytes.append(contentsOf: #","response":"#.utf8)
        switch outcome {
        case .embedded(let embeddings, let format):
            let answer = EmbeddingsAnswer(
                results: embeddings.map { .success($0) }, dimensions: format.dimensions,
                encoding: format.encoding == .float ? .float : .base64, modelName: batch.modelName ?? "",
                failurePolicy: .request)
            writeResponse(200, name, to: &bytes) { $0.append(contentsOf: answer.bytes) }
            bytes.append(contentsOf: #","error":null}"#.utf8)
        case .refused(let error, let parameter):
            let answer = APIError(.badRequest, code: error.code, error.message, field: parameter)
            writeResponse(400, name, to: &bytes) { answer.json.write(to: &$0) }
            writeError(error, to: &bytes)
        case .failed(let error):
            let answer = APIError(.internalServerError, code: error.code, error.message)
            writeResponse(500, name, to: &bytes) { answer.json.write(to: &$0) }
            writeError(error, to: &bytes)
        case .unreached(let error):
            bytes.append(contentsOf: "null".utf8)
            writeError(error, to: &bytes)
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    private func writeResponse(
        _ status: Int, _ name: String, to bytes: inout [UInt8], _ writeBody: (inout [UInt8]) -> Void
    ) {
        bytes.append(contentsOf: #"{"status_code":\#(status),"request_id":"req_\#(name)","body":"#.utf8)
        writeBody(&bytes)
        bytes.append(UInt8(ascii: "}"))
    }

    private func writeError(_ error: ItemError, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: #","error":{"code":"#.utf8)
        error.code.writeJSON(to: &bytes)
        bytes.append(contentsOf: #","message":"#.utf8)
        error.message.writeJSON(to: &bytes)
        bytes.append(contentsOf: "}}".utf8)
    }
}
