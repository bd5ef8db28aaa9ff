package import CoreMetrics
package import Embeddings

/// The job runner's instruments. Names and labels are a contract with dashboards; no label takes a value from a request.
package struct JobMetrics: Sendable {
    /// `ovenbird_jobs{state}`: at most `JobQueueStatus.countLimit` each.
    private let jobs: [JobState: Meter]
    /// `ovenbird_job_oldest_queued_seconds`: of the job that has waited longest with nothing of it begun.
    private let oldestQueued: Meter
    /// `ovenbird_job_queued_inputs`: inputs that wait, of at most `JobQueueStatus.countLimit` jobs.
    private let queuedInputs: Meter
    /// `ovenbird_job_running_segments`: of all processes.
    private let runningSegments: Meter

    /// `ovenbird_job_rescues_total`: expired leases that this process took away.
    private let rescues: Counter
    /// `ovenbird_job_lease_losses_total`: segments of this process that somebody else has now, or whose job ended.
    private let leaseLosses: Counter
    /// `ovenbird_job_retries_total{cause}`: steps that were tried again.
    private let retries: [RetryCause: Counter]
    /// `ovenbird_job_store_seconds`: each segment's finishing transaction, from the call to its answer.
    private let storeTime: Timer
    /// `ovenbird_job_inputs_total{outcome}`: stored by this process.
    private let inputs: [InputEnd: Counter]

    /// The values of the label `cause`.
    package enum RetryCause: String, Sendable, CaseIterable {
        case storageUnavailable = "storage_unavailable"
        case storageNotWritable = "storage_not_writable"
        case storageFailure = "storage_failure"
        case collectionNotFound = "collection_not_found"
        case overloaded
        /// A call to the embedder was taken apart for the sake of one text.
        case split

        package init(_ error: StorageError) {
            self =
                switch error {
                case .unavailable: .storageUnavailable
                case .notWritable: .storageNotWritable
                case .internalFailure: .storageFailure
                case .collectionNotFound: .collectionNotFound
                }
        }
    }

    /// The values of the label `outcome`.
    private enum InputEnd: String, CaseIterable {
        case embedded
        case deduplicated
        case failed
    }

    package init(factory: any MetricsFactory) {
        func counter(_ label: String, _ dimensions: [(String, String)] = []) -> Counter {
            Counter(label: "ovenbird_\(label)", dimensions: dimensions, factory: factory)
        }
        func meter(_ label: String, _ dimensions: [(String, String)] = []) -> Meter {
            Meter(label: "ovenbird_\(label)", dimensions: dimensions, factory: factory)
        }
        jobs = Dictionary(
            uniqueKeysWithValues: JobState.allCases.map { ($0, meter("jobs", [("state", $0.rawValue)])) })
        oldestQueued = meter("job_oldest_queued_seconds")
        queuedInputs = meter("job_queued_inputs")
        runningSegments = meter("job_running_segments")
        rescues = counter("job_rescues_total")
        leaseLosses = counter("job_lease_losses_total")
        retries = Dictionary(
            uniqueKeysWithValues: RetryCause.allCases.map {
                ($0, counter("job_retries_total", [("cause", $0.rawValue)]))
            })
        storeTime = Timer(label: "ovenbird_job_store_seconds", dimensions: [], factory: factory)
        inputs = Dictionary(
            uniqueKeysWithValues: InputEnd.allCases.map {
                ($0, counter("job_inputs_total", [("outcome", $0.rawValue)]))
            })
        // A gauge that was never set would be missing from the first page of metrics.
        report(JobQueueStatus())
    }

    package func report(_ status: JobQueueStatus) {
        for (state, meter) in jobs { meter.set(status.jobsByState[state] ?? 0) }
        oldestQueued.set(status.oldestQueuedAge / .seconds(1))
        queuedInputs.set(status.queuedInputs)
        runningSegments.set(status.runningSegments)
    }

    func countRescues(_ report: RescueReport) {
        rescues.increment(by: report.rescued)
    }

    func countLeaseLoss() {
        leaseLosses.increment()
    }

    func countRetry(_ cause: RetryCause) {
        retries[cause]?.increment()
    }

    func countStore(_ elapsed: Duration) {
        storeTime.recordNanoseconds(
            elapsed.components.seconds * 1_000_000_000 + elapsed.components.attoseconds / 1_000_000_000)
    }

    func countInputs(_ outcomes: [InputOutcome]) {
        var counts: [InputEnd: Int] = [:]
        for outcome in outcomes {
            switch outcome.kind {
            case .embedded: counts[.embedded, default: 0] += 1
            case .deduplicated, .sameAs: counts[.deduplicated, default: 0] += 1
            case .failed: counts[.failed, default: 0] += 1
            }
        }
        for (end, count) in counts { inputs[end]?.increment(by: count) }
    }
}
