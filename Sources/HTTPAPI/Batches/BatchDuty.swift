package import Embeddings

/// What is to be done for a batch that was claimed. Pure.
///
///     validating ──► in_progress ──job ended──► finalizing ──► completed
///         └──► failed     └──time over────────► finalizing ──► expired
///     validating, in_progress ──cancel──► cancelling ──► cancelled
package enum BatchDuty: Equatable {
    case validate
    /// Its validation took the process down, each time.
    case giveUp
    /// Stop the job where asked to, measure the answers, end the batch.
    case finish(BatchEnding, stopsJob: Bool)
    /// Its job works still.
    case wait

    /// - Parameter job: the batch's, nil where it has none or it is unknown.
    package init(_ leased: LeasedBatch, job: Job?, maximumAttempts: Int) {
        switch leased.batch.status {
        case .validating: self = leased.attempt > maximumAttempts ? .giveUp : .validate
        case .inProgress: self = Self.inProgress(leased, job)
        case .finalizing:
            let ending = leased.ending ?? .completed
            self = .finish(ending, stopsJob: ending != .completed)
        case .cancelling: self = .finish(.cancelled, stopsJob: true)
        case .failed, .completed, .expired, .cancelled: self = .wait
        }
    }

    private static func inProgress(_ leased: LeasedBatch, _ job: Job?) -> BatchDuty {
        guard leased.batch.job != nil else { return .finish(.completed, stopsJob: false) }
        // Deleted under the batch: what it did is gone.
        guard let job else { return .finish(.cancelled, stopsJob: false) }
        switch job.state {
        case .completed, .failed: return .finish(.completed, stopsJob: false)
        case .cancelled: return .finish(.cancelled, stopsJob: false)
        case .receiving, .queued, .running, .paused:
            return leased.isOverdue ? .finish(.expired, stopsJob: true) : .wait
        }
    }
}
