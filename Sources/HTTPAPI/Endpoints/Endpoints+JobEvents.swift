import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

extension Endpoints {
    /// `GET /v1/jobs/{id}/events`: server-sent events until the job has ended, the client is gone or the server stops.
    func jobEvents(of id: String, _ request: Request) async throws(APIError) -> Response {
        do throws(RequestError) { _ = try QueryParameters(request.uri.query, known: []) } catch {
            throw APIError(error)
        }
        let (jobs, job) = try await findJob(id)
        guard let place = eventStreams.place() else {
            throw APIError(RequestError.tooManyEventStreams(limit: configuration.maxEventStreams))
        }
        let watch = JobWatch(jobs: jobs, job: job, configuration: configuration, clock: clock, place: place)
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await watch.run(&writer)
                try await writer.finish(nil)
            })
    }
}

/// One client that watches one job.
private struct JobWatch: Sendable {
    let jobs: any JobStore
    let job: Job
    let configuration: HTTPConfiguration
    let clock: any Clock<Duration>
    /// Given back when nobody can run this any more.
    let place: EventStreamLimit.Place

    func run(_ writer: inout any ResponseBodyWriter) async throws {
        var last = text(of: job)
        try await writer.write(event("progress", last))
        if job.state.hasEnded { return try await writer.write(event("end", last)) }
        var lastWrite = ContinuousClock.now
        while try await pause() {
            let now: Job?
            do throws(StorageError) {
                now = try await jobs.job(job.id)
            } catch {
                // The database will be back; whoever watches need not come again.
                if try await keepAlive(&writer, since: lastWrite) { lastWrite = .now }
                continue
            }
            guard let now else {
                let deleted: JSONValue = ["id": .string(job.id.description), "object": "job", "deleted": true]
                return try await writer.write(event("end", deleted.serialized))
            }
            let text = text(of: now)
            if now.state.hasEnded { return try await writer.write(event("end", text)) }
            if text != last {
                try await writer.write(event("progress", text))
                last = text
                lastWrite = .now
            } else if try await keepAlive(&writer, since: lastWrite) {
                lastWrite = .now
            }
        }
    }

    /// False where the server is to stop; throws where the client is gone.
    private func pause() async throws -> Bool {
        do {
            try await cancelWhenGracefulShutdown { try await clock.sleep(for: configuration.eventInterval) }
        } catch is CancellationError where Task.isShuttingDownGracefully && !Task.isCancelled {
            return false
        }
        return !Task.isShuttingDownGracefully
    }

    private func keepAlive(
        _ writer: inout any ResponseBodyWriter, since last: ContinuousClock.Instant
    ) async throws -> Bool {
        guard ContinuousClock.now - last >= configuration.eventKeepAlive else { return false }
        try await writer.write(ByteBuffer(string: ": keep-alive\n\n"))
        return true
    }

    private func text(of job: Job) -> String {
        JSONValue.object(JobObject(job: job, retention: configuration.jobRetention).json).serialized
    }

    /// JSON in one line is one `data` field.
    private func event(_ name: String, _ data: String) -> ByteBuffer {
        ByteBuffer(string: "event: \(name)\ndata: \(data)\n\n")
    }
}

/// How many event streams may be open.
final class EventStreamLimit: Sendable {
    private let limit: Int
    /// A Mutex: one field.
    private let openCount = Mutex(0)

    init(_ limit: Int) {
        self.limit = limit
    }

    /// One stream's place, for as long as somebody holds it.
    final class Place: Sendable {
        private let owner: EventStreamLimit

        fileprivate init(_ owner: EventStreamLimit) {
            self.owner = owner
        }

        deinit {
            owner.openCount.withLock { $0 -= 1 }
        }
    }

    /// Nil where all are taken.
    func place() -> Place? {
        let isFree = openCount.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        return isFree ? Place(self) : nil
    }
}
