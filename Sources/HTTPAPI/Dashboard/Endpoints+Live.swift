import HTTPTypes
import HummingbirdCore
import JSON
import NIOCore

extension Endpoints {
    /// `GET /v1/live`: server-sent events until the client is gone or the server stops. `hello` once, then `activity`
    /// once in `liveInterval`, and `jobs` where a database is configured.
    func liveEvents(_ request: Request) throws(APIError) -> Response {
        guard let live else { throw APIError(RequestError.routeUnknown) }
        do throws(RequestError) { _ = try QueryParameters(request.uri.query, known: []) } catch {
            throw APIError(error)
        }
        guard let place = eventStreams.place() else {
            throw APIError(RequestError.tooManyEventStreams(limit: configuration.maxEventStreams))
        }
        let hello = LiveEvent.hello(info())
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                let watcher = live.enter()
                defer {
                    live.leave(watcher)
                    // Given back when nobody can run this any more.
                    _ = place
                }
                try await writer.write(hello)
                for await event in watcher.events { try await writer.write(event) }
                try await writer.finish(nil)
            })
    }
}
