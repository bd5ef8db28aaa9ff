package import CoreMetrics
import Embeddings
package import Inference

/// The batcher's instruments. Names and labels are a contract with dashboards; no label takes a value from a request.
///
/// Mean sequences a pass = `ovenbird_pass_sequences_sum / ovenbird_pass_sequences_count`; padding = the rectangle
/// counter over the real one.
package struct BatchingMetrics: Sendable {
    /// `ovenbird_passes_total`: forward passes that ended.
    private let passes: Counter
    /// `ovenbird_gang_passes_total`: those of them that idle threads were let help with.
    private let gangPasses: Counter
    /// `ovenbird_pass_sequences` (histogram): sequences of each pass.
    private let passSequences: Recorder
    /// `ovenbird_pass_tokens` (histogram): real tokens of each pass.
    private let passTokens: Recorder
    /// `ovenbird_tokens_total{kind="real"}`: tokens of texts, special tokens included.
    private let realTokens: Counter
    /// `…{kind="rectangle"}`: sequences × width, padding included.
    private let rectangleTokens: Counter
    /// `…{kind="computed"}`: rows that went through the dense layers: the rectangle in the padded layout, the real ones
    /// in the packed.
    private let computedTokens: Counter
    /// `ovenbird_operations_total`: of the dense layers and attention of all passes, a multiplication and an addition being
    /// two. Its rate over the peak is the share of the machine that they got.
    private let operations: FloatingPointCounter
    /// `ovenbird_peak_operations_per_second`: of bare loops on all compute threads, measured once.
    private let peakOperations: Meter

    /// `ovenbird_interlude_passes_total`: those of them that ran between two steps of another.
    private let interludes: Counter
    /// `ovenbird_repeated_passes_total`: those of them that a lost thread had begun.
    private let repeatedPasses: Counter
    /// `ovenbird_lost_threads_total`: compute threads that were given up and replaced.
    private let lostThreads: Counter

    /// `ovenbird_queue_depth{lane}`: texts that wait for a pass, each once.
    private let queueDepth: [Lane: Meter]
    /// `ovenbird_queued_tokens{lane}`: their tokens.
    private let queuedTokens: [Lane: Meter]
    /// `ovenbird_queue_oldest_seconds{lane}`: how long the oldest of them waits; 0 where none does.
    private let oldestAge: [Lane: Meter]
    /// `ovenbird_admitted_tokens`: tokens of admitted and unfinished texts: what `--max-queued-tokens` bounds.
    private let admittedTokens: Meter
    /// `ovenbird_active_requests`: calls of the embedder under way: the concurrency that batches follow.
    private let activeRequests: Meter
    /// `ovenbird_active_clients`: who has admitted and unfinished texts.
    private let activeClients: Meter
    /// `ovenbird_running_passes`: compute threads that are in the middle of a pass.
    private let runningPasses: Meter
    /// `ovenbird_tokens_per_second`: what all compute threads together do while they work, of about the last twenty
    /// passes.
    private let tokenRate: Meter

    /// `ovenbird_stage_seconds{stage="tokenize"}`: from the call to the last token of each request, its wait for a
    /// thread included.
    private let tokenizeTime: Timer
    /// `…{stage="queue"}`: from admission to the start of its pass, of each text.
    private let queueTime: Timer
    /// `…{stage="compute"}`: each pass.
    private let computeTime: Timer

    /// `ovenbird_texts_admitted_total{lane}`.
    private let admittedTexts: [Lane: Counter]
    /// `ovenbird_texts_shared_total`: admitted texts that waited or ran already, and were computed once for all.
    private let sharedTexts: Counter
    /// `ovenbird_texts_truncated_total`: admitted texts that lost their end.
    private let truncatedTexts: Counter
    /// `ovenbird_texts_cancelled_total{phase="waiting"}`: left the queue without costing a pass, since their request
    /// ended early.
    private let cancelledWaitingTexts: Counter
    /// `…{phase="running"}`: were computed for nobody, since their request ended during the pass.
    private let cancelledRunningTexts: Counter
    /// `ovenbird_embedding_failures_total{cause}`: calls that ended without vectors, by the name of the error.
    private let failures: [FailureCause: Counter]

    private let layout: BatchLayout
    private let operationCount: @Sendable (_ lengths: [Int]) -> Double

    /// - Parameters:
    ///   - layout: how the encoder walks a batch; decides what counts as computed.
    ///   - operationCount: what the encoder does for sequences of these lengths, in tokens.
    package init(
        layout: BatchLayout, factory: any MetricsFactory,
        operationCount: @escaping @Sendable (_ lengths: [Int]) -> Double
    ) {
        func counter(_ label: String, _ dimensions: [(String, String)] = []) -> Counter {
            Counter(label: "ovenbird_\(label)", dimensions: dimensions, factory: factory)
        }
        func stage(_ name: String) -> Timer {
            Timer(label: "ovenbird_stage_seconds", dimensions: [("stage", name)], factory: factory)
        }
        func meter(_ label: String) -> Meter {
            Meter(label: "ovenbird_\(label)", dimensions: [], factory: factory)
        }
        func meters(_ label: String) -> [Lane: Meter] {
            Dictionary(
                uniqueKeysWithValues: Lane.allCases.map {
                    ($0, Meter(label: "ovenbird_\(label)", dimensions: [("lane", $0.label)], factory: factory))
                })
        }
        self.layout = layout
        self.operationCount = operationCount
        passes = counter("passes_total")
        gangPasses = counter("gang_passes_total")
        passSequences = Recorder(label: "ovenbird_pass_sequences", dimensions: [], aggregate: true, factory: factory)
        passTokens = Recorder(label: "ovenbird_pass_tokens", dimensions: [], aggregate: true, factory: factory)
        realTokens = counter("tokens_total", [("kind", "real")])
        rectangleTokens = counter("tokens_total", [("kind", "rectangle")])
        computedTokens = counter("tokens_total", [("kind", "computed")])
        operations = FloatingPointCounter(label: "ovenbird_operations_total", dimensions: [], factory: factory)
        peakOperations = meter("peak_operations_per_second")
        interludes = counter("interlude_passes_total")
        repeatedPasses = counter("repeated_passes_total")
        lostThreads = counter("lost_threads_total")
        queueDepth = meters("queue_depth")
        queuedTokens = meters("queued_tokens")
        oldestAge = meters("queue_oldest_seconds")
        admittedTokens = meter("admitted_tokens")
        activeRequests = meter("active_requests")
        activeClients = meter("active_clients")
        runningPasses = meter("running_passes")
        tokenRate = meter("tokens_per_second")
        tokenizeTime = stage("tokenize")
        queueTime = stage("queue")
        computeTime = stage("compute")
        admittedTexts = Dictionary(
            uniqueKeysWithValues: Lane.allCases.map { ($0, counter("texts_admitted_total", [("lane", $0.label)])) })
        sharedTexts = counter("texts_shared_total")
        truncatedTexts = counter("texts_truncated_total")
        cancelledWaitingTexts = counter("texts_cancelled_total", [("phase", "waiting")])
        cancelledRunningTexts = counter("texts_cancelled_total", [("phase", "running")])
        failures = Dictionary(
            uniqueKeysWithValues: FailureCause.allCases.map {
                ($0, counter("embedding_failures_total", [("cause", $0.rawValue)]))
            })
    }

    package func record(_ event: BatchingEvent) {
        switch event {
        case .tokenized(let elapsed):
            tokenizeTime.recordNanoseconds(elapsed.nanoseconds)
        case .admitted(let admission):
            admittedTexts[admission.lane]?.increment(by: admission.sequenceCount)
            truncatedTexts.increment(by: admission.truncatedCount)
            sharedTexts.increment(by: admission.sharedCount)
        case .passBegan(let pass):
            for entry in pass.entries {
                queueTime.recordNanoseconds(entry.arrival.duration(to: pass.startedAt).nanoseconds)
            }
        case .passEnded(let pass, let elapsed):
            passes.increment()
            if pass.gangLeader != nil { gangPasses.increment() }
            if pass.isInterlude { interludes.increment() }
            if pass.attempt > 0 { repeatedPasses.increment() }
            passSequences.record(pass.sequenceCount)
            passTokens.record(pass.tokenCount)
            realTokens.increment(by: pass.tokenCount)
            rectangleTokens.increment(by: pass.rectangleTokenCount)
            switch layout {
            case .padded: computedTokens.increment(by: pass.rectangleTokenCount)
            case .packed: computedTokens.increment(by: pass.tokenCount)
            }
            operations.increment(by: operationCount(pass.entries.map(\.tokenCount)))
            computeTime.recordNanoseconds(elapsed.nanoseconds)
        case .dropped(let sequenceCount):
            cancelledWaitingTexts.increment(by: sequenceCount)
        case .discarded(let sequenceCount):
            cancelledRunningTexts.increment(by: sequenceCount)
        case .refused(let error):
            failures[FailureCause(error)]?.increment()
        case .threadLost:
            lostThreads.increment()
        }
    }

    /// - Parameter operationsPerSecond: of all compute threads together, at best.
    package func setPeak(_ operationsPerSecond: Double) {
        peakOperations.set(operationsPerSecond)
    }

    /// What holds at this moment; called before each scrape, so that no gauge is ever behind.
    package func report(_ load: BatchingLoad) {
        for (lane, laneLoad) in load.lanes {
            queueDepth[lane]?.set(laneLoad.textCount)
            queuedTokens[lane]?.set(laneLoad.tokenCount)
            oldestAge[lane]?.set((laneLoad.oldestAge ?? .zero) / .seconds(1))
        }
        admittedTokens.set(load.admittedTokenCount)
        activeRequests.set(load.requestCount)
        activeClients.set(load.clientCount)
        runningPasses.set(load.runningPassCount)
        tokenRate.set(load.tokensPerSecond)
    }
}

/// The values of the label `cause`: why a call ended without vectors.
enum FailureCause: String, CaseIterable {
    case overloaded
    case deadlineUnreachable = "deadline_unreachable"
    case deadlineExceeded = "deadline_exceeded"
    case requestTooLarge = "request_too_large"
    case inputTooLong = "input_too_long"
    case invalidToken = "invalid_token"
    case vectorNotFinite = "vector_not_finite"
    case computeFailed = "compute_failed"
    case shuttingDown = "shutting_down"
    case cancelled

    init(_ error: EmbeddingError) {
        self =
            switch error {
            case .overloaded: .overloaded
            case .deadlineUnreachable: .deadlineUnreachable
            case .deadlineExceeded: .deadlineExceeded
            case .requestTooLarge: .requestTooLarge
            case .inputTooLong: .inputTooLong
            case .invalidToken: .invalidToken
            case .vectorNotFinite: .vectorNotFinite
            case .computeFailed: .computeFailed
            case .shuttingDown: .shuttingDown
            case .cancelled: .cancelled
            }
    }
}

extension Lane {
    /// The value of the label `lane`.
    fileprivate var label: String {
        switch self {
        case .interactive: "interactive"
        case .bulk: "bulk"
        }
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }
}
