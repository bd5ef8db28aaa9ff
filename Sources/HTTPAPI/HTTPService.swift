package import Embeddings
package import HummingbirdCore
package import JSON
package import Logging
package import Metrics
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The HTTP server: listens until it is told to stop, then takes no more connections and finishes the requests it has.
package struct HTTPService: Service, CustomStringConvertible {
    private let configuration: HTTPConfiguration
    private let endpoints: Endpoints
    private let jobs: (any JobStore)?
    private let logger: Logger
    private let onListening: @Sendable (_ port: Int) -> Void

    /// - Parameters:
    ///   - store: nil where no database is configured; routes that need one answer 501.
    ///   - jobs: nil where no database is configured, too.
    ///   - onJobCommitted: called when a job has been committed, or goes on: a runner may look for work.
    ///   - countTokens: tokens of a text as the encoder reads it, special tokens included, and whether its end is cut.
    ///   - tokensPerSecond: what the encoder lately did under load; nil where that is not known.
    ///   - batches: as `jobs`; OpenAI's files and batches, which need both.
    ///   - onBatchCreated: called when a batch was made or is to be cancelled: a coordinator may look for work.
    ///   - activity: what the batcher did behind a cursor; nil for a server without the live page.
    ///   - isMemoryShort: whether no request with a body may begin.
    ///   - info: what `/info` answers.
    ///   - metricsText: what `/metrics` answers, in Prometheus' text format.
    ///   - metrics: makes the instruments that `HTTPMetrics` documents.
    ///   - onListening: called once, with the port that the system gave.
    package init(
        configuration: HTTPConfiguration, embedder: any Embedder, store: (any DocumentStore)?,
        jobs: (any JobStore)?, batches: (any BatchStore)? = nil,
        onBatchCreated: @escaping @Sendable () -> Void = {}, onJobCommitted: @escaping @Sendable () -> Void = {},
        countTokens: @escaping @Sendable (String) -> (count: Int, isTruncated: Bool),
        tokensPerSecond: @escaping @Sendable () -> Double? = { nil },
        activity: (@Sendable (_ after: UInt64) -> BatchingActivity)? = nil,
        isMemoryShort: @escaping @Sendable () -> Bool = { false },
        info: @escaping @Sendable () -> JSONValue, metricsText: @escaping @Sendable () -> String,
        metrics: any MetricsFactory, logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) {
        let instruments = HTTPMetrics(factory: metrics)
        self.configuration = configuration
        self.logger = logger
        self.onListening = onListening
        self.jobs = jobs
        endpoints = Endpoints(
            configuration: configuration, embedder: MeasuredEmbedder(base: embedder, metrics: instruments),
            store: store.map { MeasuredStore(base: $0, metrics: instruments) }, jobs: jobs,
            onJobCommitted: onJobCommitted,
            estimator: WorkEstimator(
                embedder: embedder, countTokens: countTokens, tokensPerSecond: tokensPerSecond),
            abandonedDrafts: AbandonedDrafts(), eventStreams: EventStreamLimit(configuration.maxEventStreams),
            live: activity.map {
                LiveFeed(activity: $0, jobs: jobs, configuration: configuration, clock: ContinuousClock())
            },
            batches: batches, onBatchCreated: onBatchCreated, info: info, metricsText: metricsText,
            metrics: instruments, parser: BodyParser(maximumValueCount: configuration.maxValues),
            bodyBudget: BodyBudget(limit: configuration.maxBufferedBodyBytes, isMemoryShort: isMemoryShort),
            readiness: ReadinessProbe(lifetime: configuration.readinessLifetime), logger: logger,
            clock: ContinuousClock())
    }

    /// Threads that read requests and write answers.
    package static var eventLoopCount: Int { System.coreCount }

    /// Bodies up to that size are parsed where their requests run, several at a time; of longer ones one at a time.
    package static var shortBodyBytes: Int { BodyParser.longBodyBytes }

    /// What logs call the service; its members hold the configuration.
    package var description: String { "HTTP server" }

    /// - Throws: where the address cannot be bound.
    package func run() async throws {
        let server = Server(
            childChannelSetup: ConnectionChannel(endpoints: endpoints),
            configuration: ServerConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.maxConnections, logger: logger)),
            onServerRunning: { [onListening] channel in onListening(channel.localAddress?.port ?? 0) },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            if let jobs {
                group.addTask { [drafts = endpoints.abandonedDrafts] in await drafts.discardAll(in: jobs) }
            }
            if let live = endpoints.live { group.addTask { await live.run() } }
            defer {
                endpoints.abandonedDrafts.finish()
                endpoints.live?.finish()
            }
            try await server.run()
        }
    }

    /// What a connection answers to `request`, without one.
    package func respond(to request: Request, on connection: ClientID = .unnamed) async -> Response {
        await endpoints.respond(to: request, on: connection)
    }
}
