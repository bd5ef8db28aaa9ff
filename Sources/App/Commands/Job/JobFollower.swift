import JSON
import NIOHTTP1

/// Follows a job to its end over the server's events; where they cannot be had, by asking every second.
package struct JobFollower: Sendable {
    private let client: ServiceClient
    private let path: String
    private let interval: Duration
    /// How long a server that does not answer is asked again.
    private let patience: Duration

    package init(
        client: ServiceClient, id: String, interval: Duration = .seconds(1), patience: Duration = .seconds(60)
    ) {
        self.client = client
        path = "/v1/jobs/\(ServiceClient.encode(id))"
        self.interval = interval
        self.patience = patience
    }

    /// Shows the job whenever something of it is new, and answers it as it ended.
    package func follow(_ show: @escaping @Sendable (JobReport) -> Void) async throws -> JobReport {
        var silentSince: ContinuousClock.Instant?
        while true {
            do {
                if let deleted = try await events(show) { return deleted }
            } catch is ServiceFailure {
                // No such route, too many listeners, a proxy that knows no streams, a lost connection: what is asked
                // below decides.
            }
            do {
                let job = try JobReport(try await client.document(ServiceRequest(.GET, path)))
                silentSince = nil
                show(job)
                // With its first errors, which events do not carry.
                if job.hasEnded { return job }
            } catch let failure as ServiceFailure where failure.isPassing {
                let since = silentSince ?? .now
                silentSince = since
                guard ContinuousClock.now - since < patience else { throw failure }
            }
            try await Task.sleep(for: interval)
        }
    }

    /// Returns when the stream has ended; with a job where that is gone and nothing more can be asked of it.
    private func events(_ show: @escaping @Sendable (JobReport) -> Void) async throws -> JobReport? {
        var request = ServiceRequest(.GET, path + "/events", headers: [("Accept", "text/event-stream")])
        // The server says something every 15 s.
        request.silenceLimit = .seconds(45)
        return try await client.exchange(request) { head, body in
            try await ServiceClient.requireSuccess(head, &body)
            guard head.headers.first(name: "content-type")?.hasPrefix("text/event-stream") == true else {
                throw ServiceFailure.unexpected("events that are no event stream")
            }
            var reader = EventReader()
            while let bytes = try await body.next() {
                for event in try reader.read(bytes) where event.name == "progress" || event.name == "end" {
                    guard let object = (try? JSONValue(parsing: event.data))?.object else {
                        throw ServiceFailure.unexpected("an event without a job")
                    }
                    let job = try JobReport(object)
                    if job.state == "deleted" { return job }
                    if job.hasEnded { return nil }
                    show(job)
                }
            }
            return nil
        }
    }
}
