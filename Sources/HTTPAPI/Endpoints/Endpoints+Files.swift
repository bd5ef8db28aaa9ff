import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import Logging
import NIOCore

extension Endpoints {
    /// Where files and batches are, and the jobs that do a batch's work.
    func requireBatches() throws(APIError) -> (store: any BatchStore, jobs: any JobStore) {
        guard let batches, let jobs else { throw APIError(RequestError.databaseNotConfigured) }
        return (batches, jobs)
    }

    func batches(_ route: BatchRoute, _ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        switch route {
        case .uploadFile: try await uploadFile(request, permit)
        case .files: try await listFiles(request)
        case .file(let id): .json(.ok, try await findFile(id).json)
        case .deleteFile(let id): try await deleteFile(id)
        case .fileContent(let id): try await fileContent(id)
        case .createBatch: try await createBatch(request, permit)
        case .batches: try await listBatches(request)
        case .batch(let id): try await batch(id)
        case .cancelBatch(let id): try await cancelBatch(id)
        }
    }

    private func uploadFile(_ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        let store = try requireBatches().store
        guard let type = request.headers[.contentType], case .form = ContentType.read(request.headers) else {
            throw APIError(
                RequestError.unsupportedContentType(request.headers[.contentType], accepted: "multipart/form-data"))
        }
        guard let boundary = HeaderParameters.boundary(ofContentType: type) else {
            throw APIError(
                RequestError.invalidValue(
                    field: nil, reason: "the content type names no boundary of 1 to 70 characters")
            )
        }
        // The form around the file takes a little too.
        let limit = configuration.maxFileBytes
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit + 64 << 10 {
            throw APIError(RequestError.batches(.fileTooLarge(limit: limit)))
        }
        var upload = FileUpload(boundary: boundary, store: store, configuration: configuration, clock: clock)
        do throws(APIError) {
            var body = BodyReader(request.body)
            while let buffer = try await body.next() {
                do throws(RequestError) { try permit.hold(upload.heldBytes + buffer.readableBytes) } catch {
                    throw APIError(error)
                }
                do throws(FileUpload.Failure) { try await upload.receive(buffer) } catch { throw answer(to: error) }
            }
            do throws(FileUpload.Failure) {
                return .json(.ok, try await upload.finish().json)
            } catch { throw answer(to: error) }
        } catch {
            // What cannot be dropped now is swept away later.
            if let file = upload.file { try? await store.discardFile(file) }
            throw error
        }
    }

    private func answer(to failure: FileUpload.Failure) -> APIError {
        switch failure {
        case .request(let error): return APIError(error)
        case .storage(let error):
            log(error)
            return APIError(error)
        }
    }

    private func listFiles(_ request: Request) async throws(APIError) -> Response {
        let store = try requireBatches().store
        var query = FileQuery()
        do throws(RequestError) {
            let parameters = try QueryParameters(request.uri.query, known: ["after", "limit", "order", "purpose"])
            if let after = parameters["after"] {
                guard let id = FileID(after) else { throw .batches(.fileUnknown(after, field: "after")) }
                query.after = id
            }
            query.limit = try parameters.integer("limit", in: 1...10_000) ?? query.limit
            switch parameters["order"] {
            case nil, "desc": query.order = .newestFirst
            case "asc": query.order = .oldestFirst
            case .some: throw .invalidValue(field: "order", reason: "order must be 'asc' or 'desc'")
            }
            if let purpose = parameters["purpose"] {
                guard let known = FilePurpose(rawValue: purpose) else {
                    // OpenAI has others, of which there are no files here.
                    return .json(.ok, listObject([], ids: [], hasMore: false))
                }
                query.purpose = known
            }
        } catch { throw APIError(error) }
        let page = try await stored { [query] () async throws(StorageError) in try await store.files(query) }
        guard let page else {
            throw APIError(
                RequestError.batches(.fileUnknown(query.after?.description ?? "", field: "after")))
        }
        return .json(
            .ok, listObject(page.files.map(\.json), ids: page.files.map(\.id.description), hasMore: page.hasMore))
    }

    private func findFile(_ text: String) async throws(APIError) -> StoredFile {
        let store = try requireBatches().store
        var file: StoredFile?
        if let id = FileID(text) {
            file = try await stored { () async throws(StorageError) in try await store.file(id) }
        }
        guard let file else { throw APIError(RequestError.batches(.fileUnknown(text, field: nil))) }
        return file
    }

    private func deleteFile(_ text: String) async throws(APIError) -> Response {
        let id = try await findFile(text).id
        let store = try requireBatches().store
        switch try await stored({ () async throws(StorageError) in try await store.deleteFile(id) }) {
        case .deleted: return .json(.ok, ["id": .string(id.description), "object": "file", "deleted": true])
        case .unknown: throw APIError(RequestError.batches(.fileUnknown(text, field: nil)))
        case .inUse(let batch): throw APIError(RequestError.batches(.fileInUse(by: batch)))
        }
    }

    private func fileContent(_ text: String) async throws(APIError) -> Response {
        let (store, jobs) = try requireBatches()
        let file = try await findFile(text)
        let headers: HTTPFields = [
            .contentType: "application/octet-stream",
            // Only a label, but a quote or a line end in it would be more.
            .contentDisposition: "attachment; filename=\"\(file.id).jsonl\"",
        ]
        switch file.content {
        case .uploaded:
            let body = ResponseBody(contentLength: file.byteCount) { writer in
                var chunk = 0
                var sentBytes = 0
                while let bytes = try await store.content(of: file.id, chunk: chunk) {
                    try await writer.write(ByteBuffer(bytes: bytes))
                    chunk += 1
                    sentBytes += bytes.count
                }
                guard sentBytes == file.byteCount else { throw ContentVanished() }
                try await writer.finish(nil)
            }
            return Response(status: .ok, headers: headers, body: body)
        case .view(let id, let part):
            let batch = try await stored { () async throws(StorageError) in try await store.batch(id) }
            guard let batch else { throw APIError(RequestError.batches(.contentDropped)) }
            var job: Job?
            if let id = batch.job {
                job = try await stored { () async throws(StorageError) in try await jobs.job(id) }
                // Requests that were refused are told even where the job was deleted.
                if job?.dataDroppedAt != nil { throw APIError(RequestError.batches(.contentDropped)) }
                // With a job that was deleted after the batch had ended, its answers are gone: the output file would be
                // empty, and the error file say of them that they had never been executed.
                if job == nil, batch.counts.completed > 0 { throw APIError(RequestError.batches(.contentDropped)) }
            }
            let answers = BatchAnswers(
                of: batch, ending: batch.ending, job: job, store: store, jobs: jobs,
                pageSize: configuration.answersPerPage)
            let body = ResponseBody { [answers] writer in
                var answers = answers
                var bytes: [UInt8] = []
                while let answer = try await answers.next() {
                    if answer.part == part { answer.writeLine(to: &bytes) }
                    if bytes.count >= 64 << 10 {
                        try await writer.write(ByteBuffer(bytes: bytes))
                        bytes.removeAll(keepingCapacity: true)
                    }
                }
                if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
                try await writer.finish(nil)
            }
            return Response(status: .ok, headers: headers, body: body)
        }
    }
}

/// The file was deleted while it was read.
private struct ContentVanished: Error {}

extension Batch {
    /// - Precondition: the batch has files, so it has ended.
    fileprivate var ending: BatchEnding {
        switch status {
        case .expired: .expired
        case .cancelled: .cancelled
        case .validating, .failed, .inProgress, .finalizing, .completed, .cancelling: .completed
        }
    }
}
