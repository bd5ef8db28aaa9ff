import HTTPTypes
import Metrics

/// What the HTTP server counts. Routes are templates, statuses classes, codes the words of the error mapping: every label
/// has a bounded number of values.
struct HTTPMetrics: Sendable {
    /// Stands for paths that no route has.
    static let unknownRoute = "unknown"

    private let factory: any MetricsFactory
    private let storeTimer: Timer

    init(factory: any MetricsFactory) {
        self.factory = factory
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
