/// When one kind of clients sends its requests; decides, and does nothing. Times are since the beginning of the run.
///
/// A closed loop's user is ready (can go to: busy), busy (can go to: paused, ready) or paused (can go to: ready). An open
/// loop's arrivals come when they come: one that finds no connection keeps the moment at which it was wanted, so that
/// whatever waits for it is waited for in its latency, too.
package struct LoadSchedule: ~Copyable {
    package enum Step: Sendable, Equatable {
        /// A request is due; `depart` takes it.
        case due
        case wait(until: Duration)
        /// Nothing to do before a request ends.
        case idle
        /// No request will be due any more.
        case over
    }

    private enum Source {
        /// When each user that is not busy wants its next request.
        case users([Duration])
        case arrivals(PoissonArrivals)
    }

    private var source: Source
    /// Requests wanted from then on are none of this run's.
    private var end: Duration

    package init(_ loop: ClientKind.Loop, end: Duration, seed: UInt64) {
        self.end = end
        switch loop {
        case .closed(let users): source = .users(Array(repeating: .zero, count: users))
        case .open(let rate): source = .arrivals(PoissonArrivals(rate: rate, seed: seed))
        }
    }

    package func next(now: Duration) -> Step {
        switch source {
        case .users(let ready):
            guard now < end else { return .over }
            guard let first = ready.min() else { return .idle }
            guard first < end else { return .over }
            return first <= now ? .due : .wait(until: first)
        case .arrivals(let arrivals):
            guard arrivals.next < end else { return .over }
            return arrivals.next <= now ? .due : .wait(until: arrivals.next)
        }
    }

    /// Takes the request that is due.
    ///
    /// - Returns: when it was wanted, which is when its latency begins.
    /// - Precondition: `next` says that one is due.
    package mutating func depart(now: Duration) -> Duration {
        precondition(next(now: now) == .due)
        switch source {
        case .users(var ready):
            source = .users([])  // the list is changed in place, not copied
            var place = 0
            for index in ready.indices where ready[index] < ready[place] { place = index }
            let wanted = ready.remove(at: place)
            source = .users(ready)
            return wanted
        case .arrivals(var arrivals):
            let wanted = arrivals.next
            arrivals.advance()
            source = .arrivals(arrivals)
            return wanted
        }
    }

    /// A request ended, answered or not; a closed loop's user asks again after the pause.
    package mutating func requestEnded(now: Duration, pause: Duration = .zero) {
        guard case .users(var ready) = source else { return }
        source = .users([])
        ready.append(now + pause)
        source = .users(ready)
    }

    /// - Returns: how many requests were wanted before the end and never departed; from then on nothing is due.
    package mutating func close(now: Duration) -> Int {
        let last = min(now, end)
        end = .zero
        guard case .arrivals(var arrivals) = source else { return 0 }
        var count = 0
        while arrivals.next < last {
            count += 1
            arrivals.advance()
        }
        source = .arrivals(arrivals)
        return count
    }
}
