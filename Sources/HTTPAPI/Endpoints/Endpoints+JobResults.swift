import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import Logging
import NIOCore

extension Endpoints {
    /// `GET /v1/jobs/{id}/results`: written as it is read from the store, page by page, no faster than the client takes it.
    func jobResults(of id: String, _ request: Request) async throws(APIError) -> Response {
        let query: ResultsQuery
        do throws(RequestError) { query = try ResultsQuery(request.uri.query) } catch { throw APIError(error) }
        let (jobs, job) = try await findJob(id)
        if job.dataDroppedAt != nil { throw APIError(RequestError.resultsDropped) }
        guard job.state.hasEnded || query.isPartial else { throw APIError(RequestError.jobNotFinished(job.state)) }
        // A vector, and what belongs to it.
        let bytesPerRow = job.dimensions * 4 + 128
        let pageSize = min(configuration.resultsPerPage, max(1, configuration.resultBytesPerPage / bytesPerRow))
        let permit = BodyPermit(bodyBudget)
        do throws(RequestError) {
            // A page as it is read, for as long as it is sent.
            try permit.hold(pageSize * bytesPerRow)
        } catch { throw APIError(error) }
        let source = ResultSource(
            store: jobs, job: job, pageSize: pageSize, pieceSize: configuration.resultBytesPerWrite,
            patience: StorePatience(limit: configuration.jobStorePatience, clock: clock), permit: permit)
        do {
            switch query.format {
            case .ndjson: return try await source.lines(query, isHead: request.method == .head)
            case .npy, .f32, .f16: return try await source.packed(query, request)
            }
        } catch let error as APIError {
            throw error
        } catch let error as StorageError {
            log(error)
            throw APIError(error)
        } catch {
            // Between our two looks at it the job was deleted, or is tried again.
            throw APIError(RequestError.jobUnknown)
        }
    }
}

/// `?format=&after=&partial=`.
private struct ResultsQuery {
    enum Format: String, CaseIterable {
        case ndjson
        case npy
        case f32
        case f16
    }

    let format: Format
    /// The first input that is wanted.
    let start: Int
    let isPartial: Bool

    init(_ query: String?) throws(RequestError) {
        let parameters = try QueryParameters(query, known: ["format", "after", "partial"])
        format = try parameters.word("format", Format.self) ?? .ndjson
        start = try parameters.integer("after", in: 0...Int(Int32.max)).map { $0 + 1 } ?? 0
        isPartial = try parameters.boolean("partial") ?? false
    }
}

/// Where an answer's results come from, and how they are handed on.
private struct ResultSource: Sendable {
    let store: any JobStore
    let job: Job
    let pageSize: Int
    let pieceSize: Int
    let patience: StorePatience
    /// Held as long as somebody may still read.
    let permit: BodyPermit

    func lines(_ query: ResultsQuery, isHead: Bool) async throws -> Response {
        var cursor = cursor(query.start..<max(query.start, job.counts.total))
        if !isHead { try await cursor.prepare() }
        let body = ResponseBody { [cursor] writer in
            var cursor = cursor
            var bytes: [UInt8] = []
            while true {
                let rows = try await cursor.next()
                guard !rows.isEmpty else { break }
                for row in rows {
                    row.writeLine(to: &bytes)
                    if bytes.count >= pieceSize {
                        try await writer.write(ByteBuffer(bytes: bytes))
                        bytes.removeAll(keepingCapacity: true)
                    }
                }
            }
            if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    func packed(_ query: ResultsQuery, _ request: Request) async throws -> Response {
        let end = job.state.hasEnded ? max(query.start, job.counts.total) : try await endOfPrefix(from: query.start)
        let rowCount = end - query.start
        let layout =
            switch query.format {
            case .ndjson, .npy: PackedRows(npyRowCount: rowCount, dimensions: job.dimensions)
            case .f32: PackedRows(.float32, rowCount: rowCount, dimensions: job.dimensions)
            case .f16: PackedRows(.float16, rowCount: rowCount, dimensions: job.dimensions)
            }
        var headers: HTTPFields = [.contentType: "application/octet-stream", .acceptRanges: "bytes"]
        // A collection's vectors may change under the job; then no two answers are sure to be parts of one whole.
        let tag = job.collection == nil && job.state.hasEnded ? tag(query, rowCount: rowCount) : nil
        if let tag { headers[.eTag] = tag }
        var bytes = 0..<layout.byteCount
        var status = HTTPResponse.Status.ok
        let mayRange = request.method == .get && (request.headers[.ifRange].map { $0 == tag } ?? true)
        switch ByteRange(mayRange ? request.headers[.range] : nil, byteCount: layout.byteCount) {
        case .whole: break
        case .part(let range):
            bytes = range
            status = .partialContent
            headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(layout.byteCount)"
        case .unsatisfiable: throw APIError(RequestError.rangeNotSatisfiable(byteCount: layout.byteCount))
        }
        let part = layout.part(bytes)
        var cursor = cursor((query.start + part.rows.lowerBound)..<(query.start + part.rows.upperBound))
        if request.method != .head { try await cursor.prepare() }
        let body = ResponseBody(contentLength: bytes.count) { [cursor, bytes] writer in
            try await write(part, of: layout, byteCount: bytes.count, cursor, to: &writer)
            try await writer.finish(nil)
        }
        return Response(status: status, headers: headers, body: body)
    }

    private func write(
        _ part: PackedRows.Part, of layout: PackedRows, byteCount: Int, _ cursor: ResultCursor,
        to writer: inout any ResponseBodyWriter
    ) async throws {
        var cursor = cursor
        var remaining = byteCount - part.header.count
        var buffer = ByteBuffer(bytes: layout.header[part.header])
        var skipped = part.skippedBytes
        while true {
            let rows = try await cursor.next()
            guard !rows.isEmpty else { break }
            for row in rows {
                let start = buffer.writerIndex
                layout.write(row.vector, to: &buffer)
                if skipped > 0, let tail = buffer.getSlice(at: start + skipped, length: layout.bytesPerRow - skipped) {
                    buffer.moveWriterIndex(to: start)
                    buffer.writeImmutableBuffer(tail)
                    skipped = 0
                }
                let excess = buffer.writerIndex - start - remaining
                if excess > 0 { buffer.moveWriterIndex(to: buffer.writerIndex - excess) }
                remaining -= buffer.writerIndex - start
                if buffer.readableBytes >= pieceSize {
                    try await writer.write(buffer)
                    buffer = ByteBuffer()
                }
            }
        }
        if buffer.readableBytes > 0 { try await writer.write(buffer) }
        guard remaining == 0 else { throw ResultCursor.Vanished() }
    }

    private func cursor(_ rows: Range<Int>) -> ResultCursor {
        ResultCursor(of: job, rows: rows, in: store, pageSize: pageSize, patience: patience)
    }

    /// The first input that has not ended. Reads everything before it once: a running job's results are asked for in a
    /// form that says its own length.
    private func endOfPrefix(from start: Int) async throws(StorageError) -> Int {
        var end = start
        while end < job.counts.total {
            let found = try await patience { () async throws(StorageError) in
                try await store.results(of: job.id, after: end == 0 ? nil : end - 1, limit: pageSize)
            }
            for result in found {
                guard result.index == end else { return end }
                end += 1
            }
            if found.count < pageSize { break }
        }
        return end
    }

    private func tag(_ query: ResultsQuery, rowCount: Int) -> String {
        let ended = job.endedAt?.microsecondsSinceUnixEpoch ?? 0
        return "\"\(job.id)-\(String(ended, radix: 36))-\(query.format.rawValue)-\(query.start)-\(rowCount)\""
    }
}

extension JobResult {
    fileprivate var vector: EmbeddingVector? {
        switch outcome {
        case .success(let embedding): embedding.vector
        case .failure: nil
        }
    }

    /// `{"id","embedding"}` or `{"id","error"}`, and a newline.
    fileprivate func writeLine(to bytes: inout [UInt8]) {
        bytes.append(contentsOf: #"{"id":"#.utf8)
        id.writeJSON(to: &bytes)
        switch outcome {
        case .success(let embedding):
            bytes.append(contentsOf: #","embedding":"#.utf8)
            HalfText.writeJSON(embedding.vector, to: &bytes)
        case .failure(let error):
            bytes.append(contentsOf: #","error":{"code":"#.utf8)
            error.code.writeJSON(to: &bytes)
            bytes.append(contentsOf: #","message":"#.utf8)
            error.message.writeJSON(to: &bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(contentsOf: "}\n".utf8)
    }
}
