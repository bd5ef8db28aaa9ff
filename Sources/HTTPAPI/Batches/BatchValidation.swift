import Embeddings
import JSON
import NIOCore

/// Reads a batch's file once: checks every line, remembers each request, and appends its texts to a draft of the job. From
/// the first fault on, lines are only checked.
struct BatchValidation {
    enum Outcome {
        case refused([BatchError])
        /// The job's draft holds the texts; with none of them there is nothing to commit.
        case valid(BatchStart)
    }

    private let work: BatchWork
    private let draft: JobID
    private let rules: BatchLine.Rules
    private let parser: BodyParser

    private var errors: [BatchError] = []
    private var requests: [BatchRequest] = []
    private var inputs: [JobInput] = []
    private var inputBytes = 0
    private var appendedInputCount = 0
    private var requestCount = 0
    private var refusedCount = 0

    init(_ work: BatchWork, draft: JobID, parser: BodyParser) {
        self.work = work
        self.draft = draft
        self.parser = parser
        rules = BatchLine.Rules(
            model: work.model, maximumInputs: work.configuration.maximumInputsPerRequest,
            maximumTextBytes: work.configuration.maximumTextBytes)
    }

    mutating func run() async throws(BatchWork.Interruption) -> Outcome {
        var splitter = LineSplitter(limit: work.configuration.maximumLineBytes)
        var number = 0
        var chunk = 0
        while let bytes = try await content(chunk), !isFull {
            chunk += 1
            var buffer = ByteBuffer(bytes: bytes)
            while !isFull, let line = splitter.next(from: &buffer) {
                number += 1
                try await add(line, number: number)
            }
            try await work.keepLease()
        }
        if !isFull, let line = splitter.finish() { try await add(line, number: number + 1) }
        try await flushRequests()
        if errors.isEmpty, requestCount == 0 {
            errors.append(BatchError(code: "empty_file", message: "the file holds no request"))
        }
        guard errors.isEmpty else {
            return .refused(Array(errors.sorted { ($0.line ?? 0) < ($1.line ?? 0) }.prefix(limits.maximumErrors)))
        }
        try await flushInputs()
        return .valid(
            BatchStart(
                job: appendedInputCount > 0 ? draft : nil, modelName: work.model.name, requestCount: requestCount,
                refusedCount: refusedCount, inputCount: appendedInputCount))
    }

    private var limits: BatchCoordinator.Configuration { work.configuration }

    /// Further lines could only add to what is not told any more.
    private var isFull: Bool {
        errors.count >= limits.maximumErrors || requestCount > limits.maximumRequests
            || inputCount > limits.maximumInputs
    }

    private var inputCount: Int { appendedInputCount + inputs.count }

    private func content(_ chunk: Int) async throws(BatchWork.Interruption) -> [UInt8]? {
        try await work.stored { () async throws(StorageError) in
            try await work.store.content(of: work.batch.inputFile, chunk: chunk)
        }
    }

    private mutating func add(_ line: LineSplitter.Line, number: Int) async throws(BatchWork.Interruption) {
        let request: BatchLine
        switch line {
        case .tooLong:
            return errors.append(
                BatchError(
                    code: "line_too_long", message: "the line is longer than \(limits.maximumLineBytes) bytes",
                    line: number))
        case .text(let buffer):
            guard !buffer.isBlank else { return }
            requestCount += 1
            guard requestCount <= limits.maximumRequests else {
                return errors.append(
                    BatchError(
                        code: "too_many_requests",
                        message: "the file holds more than \(limits.maximumRequests) requests (--max-batch-requests)",
                        line: number))
            }
            do throws(JSONError) {
                let value = try await parser.parse(buffer).get()
                do throws(BatchError) {
                    request = try BatchLine(value, line: number, rules: rules)
                } catch { return errors.append(error) }
            } catch {
                return errors.append(
                    BatchError(code: "invalid_json_line", message: "the line is not valid JSON: \(error)", line: number)
                )
            }
        }
        try await add(request, line: number)
    }

    private mutating func add(_ request: BatchLine, line: Int) async throws(BatchWork.Interruption) {
        let content: BatchRequest.Content
        switch request.content {
        case .refused(let error, let parameter):
            refusedCount += 1
            content = .refused(error, parameter: parameter)
        case .texts(let texts, let format):
            let first = inputCount
            for text in texts {
                inputs.append(JobInput(id: request.customID, content: .success(.init(text: text))))
                inputBytes += text.utf8.count
                if inputs.count >= limits.inputsPerAppend || inputBytes >= limits.bytesPerAppend {
                    try await flushInputs()
                }
            }
            guard inputCount <= limits.maximumInputs else {
                return errors.append(
                    BatchError(
                        code: "too_many_inputs",
                        message: "the file's requests hold more than \(limits.maximumInputs) inputs", line: line))
            }
            content = .embedded(inputs: first..<(first + texts.count), format)
        }
        requests.append(BatchRequest(line: line, customID: request.customID, content: content))
        if requests.count >= limits.requestsPerAppend { try await flushRequests() }
    }

    private mutating func flushInputs() async throws(BatchWork.Interruption) {
        guard !inputs.isEmpty else { return }
        let pending = inputs
        let first = appendedInputCount
        inputs = []
        inputBytes = 0
        appendedInputCount += pending.count
        // The job of a refused batch is never made.
        guard errors.isEmpty else { return }
        try await work.stored { () async throws(StorageError) in
            try await work.jobs.append(pending, at: first, to: draft)
        }
        try await work.keepLease()
    }

    private mutating func flushRequests() async throws(BatchWork.Interruption) {
        guard !requests.isEmpty else { return }
        let pending = requests
        requests = []
        let appended = try await work.stored { () async throws(StorageError) in
            try await work.store.append(pending, work.lease)
        }
        guard case .appended(let duplicates) = appended else { throw .leaseLost }
        for line in duplicates {
            errors.append(
                BatchError(
                    code: "duplicate_custom_id", message: "an earlier line of the file has the same custom_id",
                    parameter: "custom_id", line: line))
        }
    }
}
