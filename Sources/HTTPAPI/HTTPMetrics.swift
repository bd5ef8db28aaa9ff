import HTTPTypes
import Metrics

/// What the HTTP server counts. Routes are templates, statuses classes, codes the words of the error mapping: every label
/// has a bounded number of values.
struct HTTPMetrics: Sendable {
    /// Stands for paths that no route has.
    static let unknownRoute = "unknown"

    private let factory: any MetricsFactory
    private let storeTimer: Timer
    /// `ovenbird_http_active_requests`: requests that wait for vectors now, the active concurrency that passes are compared
    /// with.
    private let activeRequests: Meter
    /// `ovenbird_http_connections`: open ones.
    private let connections: Meter
    /// `ovenbird_http_slow_readers_total`: connections closed because their client did not take an answer in time.
    private let slowReaders: Counter
    /// `ovenbird_http_evictions_total`: idle connections that newcomers took the place of.
    private let evictions: Counter

    init(factory: any MetricsFactory) {
        self.factory = factory
        activeRequests = Meter(label: "ovenbird_http_active_requests", dimensions: [], factory: factory)
        connections = Meter(label: "ovenbird_http_connections", dimensions: [], factory: factory)
        slowReaders = Counter(label: "ovenbird_http_slow_readers_total", dimensions: [], factory: factory)
        evictions = Counter(label: "ovenbird_http_evictions_total", dimensions: [], factory: factory)
        // A gauge that was never set would be missing from the first page of metrics.
        activeRequests.set(0)
        connections.set(0)
        storeTimer = Timer(label: "ovenbird_stage_seconds", dimensions: [("stage", "store")], factory: factory)
    }

    /// - `ovenbird_http_requests_total{route,method,status}`: answered requests; `status` is `2xx`, `4xx` or `5xx`.
    /// - `ovenbird_http_request_duration_seconds{route}`: from a request's head to its finished answer, before it is sent.
    func record(route: String, method: HTTPRequest.Method?, status: Int, duration: Duration) {
        let known: [HTTPRequest.Method] = [.get, .head, .post, .put, .delete]
        let method = method.flatMap { known.contains($0) ? $0.rawValue : nil } ?? "other"
        Counter(
            label: "ovenbird_http_requests_total",
            dimensions: [
                ("route", route), ("method", method),
                ("status", "\(status / 100)xx"),
            ], factory: factory
        ).increment()
        Timer(
            label: "ovenbird_http_request_duration_seconds", dimensions: [("route", route)], factory: factory
        ).recordNanoseconds(duration.nanoseconds)
    }

    /// `ovenbird_http_errors_total{code}`: answers with an error, by the `code` that they carry.
    func countError(code: String) {
        Counter(label: "ovenbird_http_errors_total", dimensions: [("code", code)], factory: factory).increment()
    }

    /// `ovenbird_http_input_failures_total{code}`: inputs that failed alone, with `on_error` `per_item`.
    func countInputFailure(code: String) {
        Counter(label: "ovenbird_http_input_failures_total", dimensions: [("code", code)], factory: factory).increment()
    }

    func beginWait() { activeRequests.increment() }
    func endWait() { activeRequests.decrement() }

    func openConnection() { connections.increment() }
    func closeConnection() { connections.decrement() }
    func countEviction() { evictions.increment() }
    func countSlowReader() { slowReaders.increment() }

    /// `ovenbird_stage_seconds{stage="store"}`: one call to the store.
    func recordStore(_ duration: Duration) {
        storeTimer.recordNanoseconds(duration.nanoseconds)
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }
}
