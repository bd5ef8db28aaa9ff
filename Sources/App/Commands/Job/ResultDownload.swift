import Foundation
import NIOHTTP1

/// A job's results as a stream that outlives its connections: where one is lost, the next goes on behind what has come.
package struct ResultDownload {
    private let client: ServiceClient
    private let id: String
    private let format: ResultFormat
    private let isPartial: Bool
    private let maximumFailures: Int
    private let firstDelay: Duration

    /// Whole lines, or bytes, that have been handed over.
    private var deliveredCount = 0
    /// Of what the bytes are a part; nil where the server names it in no way.
    private var entityTag: String?

    package init(
        client: ServiceClient, id: String, format: ResultFormat, isPartial: Bool = false, maximumFailures: Int = 5,
        firstDelay: Duration = .seconds(1)
    ) {
        self.client = client
        self.id = id
        self.format = format
        self.isPartial = isPartial
        self.maximumFailures = maximumFailures
        self.firstDelay = firstDelay
    }

    /// Hands over all of it.
    package mutating func run(_ take: (ArraySlice<UInt8>) throws(CommandFailure) -> Void) async throws {
        var failures = 0
        var delay = firstDelay
        while true {
            let before = deliveredCount
            do {
                return try await attempt(take)
            } catch let failure as ServiceFailure where failure.isPassing {
                if deliveredCount > before {
                    failures = 0
                    delay = firstDelay
                }
                failures += 1
                guard failures < maximumFailures, deliveredCount == 0 || canGoOn else { throw failure }
                FileHandle.standardError.writeOrLose(
                    "ovenbird: \(failure.commandFailure.message); going on behind what has come\n")
                try await Task.sleep(for: delay)
                delay *= 2
            }
        }
    }

    /// Lines of an ended job are counted from its first input. Of one that goes on, more may have ended before the last.
    private var canGoOn: Bool {
        guard !isPartial else { return false }
        return format == .ndjson || entityTag != nil
    }

    private mutating func attempt(_ take: (ArraySlice<UInt8>) throws(CommandFailure) -> Void) async throws {
        var request = ServiceRequest(
            .GET, "/v1/jobs/\(ServiceClient.encode(id))/results", query: [("format", format.rawValue)])
        if isPartial { request.query.append(("partial", "true")) }
        if deliveredCount > 0 {
            if format == .ndjson {
                request.query.append(("after", "\(deliveredCount - 1)"))
            } else {
                request.headers.append(("Range", "bytes=\(deliveredCount)-"))
                if let entityTag { request.headers.append(("If-Range", entityTag)) }
            }
        }
        try await client.exchange(request) { head, body in
            if head.status == .rangeNotSatisfiable, deliveredCount > 0 { return }
            try await ServiceClient.requireSuccess(head, &body)
            if format != .ndjson {
                guard deliveredCount == 0 || head.status == .partialContent else {
                    throw CommandFailure.failed("the results changed while they were read; read them again")
                }
                entityTag = head.headers.first(name: "ETag")
            }
            try await receive(&body, take)
        }
    }

    private mutating func receive(
        _ body: inout ServiceAnswerBody, _ take: (ArraySlice<UInt8>) throws(CommandFailure) -> Void
    ) async throws {
        // The line that has begun; half a line is no result.
        var begun: [UInt8] = []
        while let bytes = try await body.next() {
            guard format == .ndjson else {
                try take(bytes[...])
                deliveredCount += bytes.count
                continue
            }
            guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else {
                begun += bytes
                continue
            }
            if !begun.isEmpty { try take(begun[...]) }
            try take(bytes[...end])
            deliveredCount += bytes[...end].count { $0 == UInt8(ascii: "\n") }
            begun = Array(bytes[(end + 1)...])
        }
        guard begun.isEmpty else { throw ServiceFailure.lost("the answer ends in the middle of a line") }
    }
}
