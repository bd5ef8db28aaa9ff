import Embeddings
import JSON
import NIOCore
import ServiceLifecycle
import Synchronization

/// Looks at the batcher and at the jobs for everybody who watches, once in an interval whoever and how many they are, and
/// not at all where nobody does.
///
/// A Mutex: a few fields, never held across an await.
final class LiveFeed: Sendable {
    /// What one stream has not written yet: a second's worth. Who reads slower misses the oldest.
    private static let bufferedEventCount = 4
    /// Jobs of each kind that are told, those that go on and the newest of all.
    private static let jobLimit = 8
    /// Looks after which jobs are told though nothing has changed: who read slowly may have missed them.
    private static let jobRepetition = 5

    private struct State {
        var watchers: [Int: AsyncStream<ByteBuffer>.Continuation] = [:]
        var lastWatcher = 0
        /// For those who come later.
        var jobs: ByteBuffer?
        var isFinished = false
    }

    struct Watcher {
        fileprivate let id: Int
        let events: AsyncStream<ByteBuffer>
    }

    private let state = Mutex(State())
    private let arrivals = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let activity: @Sendable (_ after: UInt64) -> BatchingActivity
    private let jobs: (any JobStore)?
    private let configuration: HTTPConfiguration
    private let clock: any Clock<Duration>
    /// Where the events' milliseconds begin.
    private let origin = ContinuousClock.now

    /// - Parameters:
    ///   - activity: what was done behind a cursor, 0 for the first time.
    ///   - jobs: nil where no database is configured.
    init(
        activity: @escaping @Sendable (_ after: UInt64) -> BatchingActivity, jobs: (any JobStore)?,
        configuration: HTTPConfiguration, clock: any Clock<Duration>
    ) {
        self.activity = activity
        self.jobs = jobs
        self.configuration = configuration
        self.clock = clock
    }

    /// A new watcher's events, until `leave`; they end by themselves where the server stops.
    func enter() -> Watcher {
        let (events, continuation) = AsyncStream.makeStream(
            of: ByteBuffer.self, bufferingPolicy: .bufferingNewest(Self.bufferedEventCount))
        let (id, jobs, isFinished) = state.withLock { state in
            state.lastWatcher += 1
            if !state.isFinished { state.watchers[state.lastWatcher] = continuation }
            return (state.lastWatcher, state.jobs, state.isFinished)
        }
        if let jobs { continuation.yield(jobs) }
        if isFinished { continuation.finish() } else { arrivals.continuation.yield() }
        return Watcher(id: id, events: events)
    }

    func leave(_ watcher: Watcher) {
        state.withLock { state in
            state.watchers[watcher.id] = nil
            // Once somebody comes again, it is old.
            if state.watchers.isEmpty { state.jobs = nil }
        }
    }

    /// Samples until the server is to stop, until `finish`, or until the task is cancelled; then every watcher's events end.
    func run() async {
        await cancelWhenGracefulShutdown { [arrivals] in
            for await _ in arrivals.stream {
                // The activity's sampling is the round, and ends it: two that each end when they see nobody would part
                // where one watcher leaves and the next comes at once, and whichever has ended would stay so.
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await self.sampleJobs() }
                    await self.sampleActivity()
                    group.cancelAll()
                }
            }
        }
        finish()
    }

    /// Ends every watcher's events, those to come included.
    func finish() {
        let left = state.withLock { state in
            state.isFinished = true
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for continuation in left { continuation.finish() }
        arrivals.continuation.finish()
    }

    private func sampleActivity() async {
        var window = RateWindow()
        var now = activity(0)
        // What nobody asked for was not missed.
        now.missedPassCount = 0
        while isWatched {
            let rates = window.rates(to: now.totals, at: now.moment)
            tell(LiveEvent.activity(now, rates: rates, since: origin))
            guard await rest(configuration.liveInterval) else { return }
            now = activity(now.cursor)
        }
    }

    /// Until it is cancelled.
    private func sampleJobs() async {
        guard let jobs else { return }
        var quietLookCount = 0
        repeat {
            let event = LiveEvent.jobs(await list(of: jobs))
            // Cut short, a list tells only that.
            guard !Task.isCancelled else { return }
            let isNews = state.withLock { state in
                // Kept for nobody it would be old for whoever comes.
                guard !state.watchers.isEmpty else { return false }
                defer { state.jobs = event }
                return state.jobs != event
            }
            quietLookCount = isNews ? 0 : quietLookCount + 1
            if isNews || quietLookCount.isMultiple(of: Self.jobRepetition) { tell(event) }
        } while await rest(configuration.eventInterval)
    }

    /// Those under way, and the newest that have ended.
    private func list(of jobs: any JobStore) async -> JSONValue {
        do throws(StorageError) {
            let open = try await jobs.jobs(JobQuery(states: [.queued, .running, .paused], limit: Self.jobLimit))
            let newest = try await jobs.jobs(JobQuery(limit: Self.jobLimit))
            let ended = newest.jobs.filter(\.state.hasEnded).prefix(Self.jobLimit - min(open.jobs.count, Self.jobLimit))
            let objects = (open.jobs + ended).map { job in
                JSONValue.object(JobObject(job: job, retention: configuration.jobRetention).json)
            }
            return ["data": .array(objects), "more": .bool(open.next != nil)]
        } catch {
            // Its text is safe for clients; who watches learns that the database is away, and asks again.
            return ["error": .string(error.description)]
        }
    }

    private var isWatched: Bool { state.withLock { !$0.watchers.isEmpty } }

    /// False where the task is cancelled.
    private func rest(_ duration: Duration) async -> Bool {
        do {
            try await clock.sleep(for: duration)
            return true
        } catch { return false }
    }

    private func tell(_ event: ByteBuffer) {
        let watchers = state.withLock { Array($0.watchers.values) }
        for continuation in watchers { continuation.yield(event) }
    }
}
