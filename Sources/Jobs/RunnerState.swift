package import Embeddings

/// Every decision of a job runner: when to claim, when leases are prolonged, who may rescue, what an error means. Pure:
/// no clock, no chance, no database.
///
/// The door to new work
/// - is *open* while claims find work. Can go to: closed.
/// - is *closed* after a claim that found nothing or failed, until a moment. Can go to: tried.
/// - is *tried* by one worker for all. Can go to: open, closed.
///
/// A lease
/// - is *working* from its claim. Can go to: finishing, lost, ended.
/// - is *finishing* once its outcomes are being written; a heartbeat that finds it gone may only have come after the
///   write. Can go to: lost, ended.
/// - is *lost* when a heartbeat said so. Can go to: ended.
///
/// The whole is *running* until `stop`. Final.
package struct RunnerState: ~Copyable {
    package typealias Instant = ContinuousClock.Instant

    private enum Door {
        case open
        /// - Parameter yieldsToBell: whether a ring opens it early; not while the database fails.
        case closed(until: Instant, yieldsToBell: Bool)
        case tried
    }

    private enum LeasePhase {
        case working
        case finishing
        case lost
    }

    private let configuration: JobRunnerConfiguration
    package private(set) var isStopping = false
    private var door: Door
    private var hasNews = false
    private var claimFailures = 0
    private var nextGathering: Instant
    private var leases: [SegmentLease: LeasePhase] = [:]
    private var nextHeartbeat: Instant
    private var heartbeatFailures = 0
    private var nextRescue: Instant
    private var contact: Contact

    package init(configuration: JobRunnerConfiguration, now: Instant) {
        self.configuration = configuration
        door = .closed(until: now, yieldsToBell: true)
        nextGathering = now
        nextHeartbeat = now
        nextRescue = now
        contact = Contact(maximumSilence: configuration.leaseDuration / 2)
    }

    // MARK: Claims

    package enum ClaimStep: Sendable, Equatable {
        case claim
        /// First make jobs of what SQL enqueued.
        case gatherAndClaim
        /// Until then, or until something has changed.
        case wait(until: Instant?)
        case stop
    }

    /// What a worker without a segment does. One that is told to claim answers with `claimed` or `claimFailed`.
    package mutating func claimStep(now: Instant) -> ClaimStep {
        if isStopping { return .stop }
        switch door {
        case .tried: return .wait(until: nil)
        case .closed(let moment, let yieldsToBell):
            guard now >= moment || (yieldsToBell && hasNews) else { return .wait(until: moment) }
            door = .tried
        case .open: break
        }
        guard hasNews || now >= nextGathering else { return .claim }
        hasNews = false
        nextGathering = now.advanced(by: configuration.effectivePollInterval)
        return .gatherAndClaim
    }

    /// The bell rang: something may be there to be claimed.
    package mutating func rang() {
        hasNews = true
    }

    package mutating func gathered(_ count: Int, now: Instant) {
        contact.made(now)
        if count >= configuration.gatherLimit { nextGathering = now }
    }

    /// Workers that wait look again after it.
    package mutating func claimed(_ leases: [SegmentLease], jitter: Double, now: Instant) {
        contact.made(now)
        claimFailures = 0
        for lease in leases { self.leases[lease] = .working }
        guard leases.isEmpty else { return door = .open }
        // Around the interval, so that processes that started together drift apart.
        let wait = configuration.effectivePollInterval * (0.75 + jitter / 2)
        door = .closed(until: now.advanced(by: wait), yieldsToBell: true)
    }

    /// Answers whether it is the first failure since a success. Workers that wait look again after it.
    package mutating func claimFailed(jitter: Double, now: Instant) -> Bool {
        contact.broke()
        claimFailures += 1
        door = .closed(
            until: now.advanced(by: storageBackoff.delay(afterFailures: claimFailures, jitter: jitter)),
            yieldsToBell: false)
        return claimFailures == 1
    }

    // MARK: Leases

    package mutating func finishing(_ lease: SegmentLease) {
        if leases[lease] == .working { leases[lease] = .finishing }
    }

    package enum LeaseEnd: Sendable, Equatable {
        case held
        case lost
    }

    /// It is finished, or it is to be given back, or let go.
    package mutating func ended(_ lease: SegmentLease) -> LeaseEnd {
        leases.removeValue(forKey: lease) == .lost ? .lost : .held
    }

    package enum HeartbeatStep: Sendable, Equatable {
        case extend([SegmentLease])
        case wait(until: Instant)
        case stop
    }

    package mutating func heartbeatStep(now: Instant) -> HeartbeatStep {
        if isStopping { return .stop }
        guard now >= nextHeartbeat else { return .wait(until: nextHeartbeat) }
        nextHeartbeat = now.advanced(by: configuration.heartbeatInterval)
        let held = leases.filter { $0.value != .lost }.keys.sorted { $0.token < $1.token }
        return held.isEmpty ? .wait(until: nextHeartbeat) : .extend(held)
    }

    /// Answers the leases whose work is for nothing now.
    package mutating func extended(lost: Set<SegmentLease>, now: Instant) -> [SegmentLease] {
        contact.made(now)
        heartbeatFailures = 0
        let known = lost.filter { leases[$0] != nil }
        for lease in known { leases[lease] = .lost }
        return known.sorted { $0.token < $1.token }
    }

    package mutating func extensionFailed(jitter: Double, now: Instant) {
        contact.broke()
        heartbeatFailures += 1
        let delay = storageBackoff.delay(afterFailures: heartbeatFailures, jitter: jitter)
        nextHeartbeat = now.advanced(by: delay)
    }

    // MARK: Rescues

    package enum RescueStep: Sendable, Equatable {
        case rescue(RescuePolicy)
        case wait(until: Instant)
        case stop
    }

    /// Only who has heard of the database for one whole lease without a break knows that the others could have been
    /// heard, too: an outage must not cost a living worker its segment.
    package mutating func rescueStep(jitter: Double, now: Instant) -> RescueStep {
        if isStopping { return .stop }
        guard now >= nextRescue else { return .wait(until: nextRescue) }
        nextRescue = now.advanced(by: configuration.rescueInterval * (0.75 + jitter / 2))
        guard contact.hasLasted(configuration.leaseDuration, now: now) else { return .wait(until: nextRescue) }
        return .rescue(
            RescuePolicy(
                maximumAttempts: configuration.maximumAttempts, backoff: configuration.attemptBackoff,
                minimumServerAge: configuration.leaseDuration))
    }

    package mutating func rescued(now: Instant) {
        contact.made(now)
    }

    package mutating func rescueFailed() {
        contact.broke()
    }

    // MARK: Errors

    package enum ErrorStep: Sendable, Equatable {
        /// The same once more, later: it is nobody's fault, and no attempt.
        case retry(after: Duration)
        /// Let go of the segment for that long; the attempt counts.
        case postpone(Duration)
        /// Keep silent until the lease expires: rescue splits a segment whose attempts are used up.
        case abandon
        /// The lease is lost, or the runner stops.
        case giveUp
    }

    /// What a failure to load or to finish a segment means.
    ///
    /// - Parameter failures: of this very step so far, from 1.
    package func errorStep(
        _ error: StorageError, on segment: LeasedSegment, failures: Int, jitter: Double
    ) -> ErrorStep {
        if isStopping || leases[segment.lease] == .lost { return .giveUp }
        switch error {
        case .unavailable, .notWritable:
            return .retry(after: storageBackoff.delay(afterFailures: failures, jitter: jitter))
        case .internalFailure, .collectionNotFound:
            guard segment.attempt < configuration.maximumAttempts else { return .abandon }
            let backoff = Backoff(configuration.attemptBackoff)
            return .postpone(backoff.delay(afterFailures: segment.attempt, jitter: jitter))
        }
    }

    /// Answers the leases whose work is to be broken off; those being finished may end.
    package mutating func stop() -> [SegmentLease] {
        isStopping = true
        return leases.keys.sorted { $0.token < $1.token }
    }

    /// 0.1 s: a connection that was cut is back at once. To a sixth of a lease, at most 5 s: after an outage every
    /// lease is prolonged long before anybody may take it away, and 1,000 workers ask 200 times a second at most.
    private var storageBackoff: Backoff {
        Backoff(.milliseconds(100)...max(.milliseconds(100), min(.seconds(5), configuration.leaseDuration / 6)))
    }
}

/// Since when the database has been heard of without a break. A silence that is too long is a break as well: this very
/// process may have been stopped meanwhile, with everybody else's heartbeats unheard.
private struct Contact {
    let maximumSilence: Duration
    private var since: ContinuousClock.Instant?
    private var last: ContinuousClock.Instant?

    init(maximumSilence: Duration) {
        self.maximumSilence = maximumSilence
    }

    mutating func made(_ now: ContinuousClock.Instant) {
        if since == nil || isSilent(now) { since = now }
        last = now
    }

    mutating func broke() {
        since = nil
    }

    func hasLasted(_ duration: Duration, now: ContinuousClock.Instant) -> Bool {
        guard let since, !isSilent(now) else { return false }
        return since.duration(to: now) >= duration
    }

    private func isSilent(_ now: ContinuousClock.Instant) -> Bool {
        guard let last else { return true }
        return last.duration(to: now) > maximumSilence
    }
}
