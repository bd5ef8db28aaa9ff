package import NIOCore

/// What a connection may still take its time for. Pure: events in, the next deadline out, time as argument.
///
///     reading:  idle ──bytes──► head ──head──► body ──end──► idle       can go to failed from head and body
///     sending:  nothing ──written──► sending ──all handed over──► nothing, or lingering where the connection ends
package struct ConnectionWatch: ~Copyable {
    package struct Limits: Sendable {
        var head: TimeAmount
        var body: TimeAmount
        var bodyPatience: TimeAmount
        /// Bytes a second, as the next rate.
        var minimumBodyRate: Int
        var response: TimeAmount
        var minimumResponseRate: Int
        var idle: TimeAmount
        var linger: TimeAmount

        /// What a client must take within each `response`.
        var responseWindowByteCount: Int {
            Int(Double(minimumResponseRate) * Double(response.nanoseconds) / 1e9)
        }

        package init(_ configuration: HTTPConfiguration) {
            head = TimeAmount(configuration.headTimeout)
            body = TimeAmount(configuration.bodyTimeout)
            bodyPatience = TimeAmount(configuration.bodyPatience)
            minimumBodyRate = configuration.minimumBodyRate
            response = TimeAmount(configuration.responseTimeout)
            minimumResponseRate = configuration.minimumResponseRate
            idle = TimeAmount(configuration.idleTimeout)
            linger = TimeAmount(configuration.lingerTimeout)
        }
    }

    package enum Action: Equatable {
        /// The request is refused: its head, or its body, did not come in time.
        case refuse(Late)
        case close
    }

    package enum Late: Equatable {
        case head
        case body
    }

    private enum Reading {
        case idle(since: NIODeadline)
        case head(since: NIODeadline)
        case body(Body)
        case failed
    }

    private struct Body {
        /// Nil for a stream without an end in sight.
        let end: NIODeadline?
        var byteCount = 0
        /// Time spent waiting for the client; what the server needs to deal with a part does not count.
        var waited = TimeAmount.zero
        var waitingSince: NIODeadline?
    }

    /// Bytes of responses that were written and that the system has not taken yet, for the client takes none from it.
    private struct Sending {
        var byteCount: Int
        /// Within one window as much is taken as the rate asks for, or everything that is left.
        var windowStart: NIODeadline
        var windowByteCount = 0
    }

    private let limits: Limits
    private var reading: Reading
    private var unansweredCount = 0
    private var sending: Sending?
    private var lingeringSince: NIODeadline?
    private var isClosed = false
    package private(set) var isQuiescing = false

    package init(limits: Limits, now: NIODeadline) {
        self.limits = limits
        reading = .idle(since: now)
    }

    /// Bytes came that are no whole part yet.
    package mutating func receivedBytes(now: NIODeadline) {
        if case .idle = reading { reading = .head(since: now) }
    }

    package mutating func receivedHead(isStream: Bool, now: NIODeadline) {
        unansweredCount += 1
        reading = .body(Body(end: isStream ? nil : now + limits.body))
    }

    /// The server wants more of the body.
    package mutating func askedForMore(now: NIODeadline) {
        guard case .body(var body) = reading, body.waitingSince == nil else { return }
        body.waitingSince = now
        reading = .body(body)
    }

    package mutating func receivedBody(byteCount: Int, now: NIODeadline) {
        guard case .body(var body) = reading else { return }
        if let since = body.waitingSince { body.waited = body.waited + (now - since) }
        body.waitingSince = nil
        body.byteCount += byteCount
        reading = .body(body)
    }

    package mutating func receivedEnd(now: NIODeadline) {
        reading = .idle(since: now)
    }

    package mutating func wroteResponse(byteCount: Int, now: NIODeadline) {
        guard byteCount > 0 else { return }
        if sending == nil { sending = Sending(byteCount: 0, windowStart: now) }
        sending?.byteCount += byteCount
    }

    /// The system has taken bytes that were written.
    package mutating func handedOverResponse(byteCount: Int, now: NIODeadline) {
        guard var sending else { return }
        sending.byteCount -= byteCount
        sending.windowByteCount += byteCount
        if sending.windowByteCount >= limits.responseWindowByteCount {
            sending.windowStart = now
            sending.windowByteCount = 0
        }
        self.sending = sending.byteCount > 0 ? sending : nil
    }

    /// The last byte of a response was handed over.
    package mutating func flushedResponse(endsConnection: Bool, now: NIODeadline) {
        unansweredCount -= 1
        if endsConnection || (isQuiescing && unansweredCount <= 0) {
            lingeringSince = now
        } else if case .idle = reading {
            reading = .idle(since: now)
        }
    }

    /// The server is stopping. True where nothing keeps the connection open.
    package mutating func quiesce() -> Bool {
        isQuiescing = true
        return unansweredCount <= 0
    }

    /// Whether no request is under way: its head has not come whole, and the last one was answered and taken.
    package var isIdle: Bool {
        switch reading {
        case .idle, .head: !isClosed && unansweredCount <= 0 && sending == nil && lingeringSince == nil
        case .body, .failed: false
        }
    }

    /// Whether a client has not taken yet what was written to it.
    package var isAnswering: Bool { sending != nil }

    /// What happens when, if no event comes before.
    package func next() -> (deadline: NIODeadline, action: Action)? {
        guard !isClosed else { return nil }
        if let since = lingeringSince { return (since + limits.linger, .close) }
        var next: (deadline: NIODeadline, action: Action)?
        func consider(_ deadline: NIODeadline, _ action: Action) {
            if let earlier = next, earlier.deadline <= deadline { return }
            next = (deadline, action)
        }
        if let sending { consider(sending.windowStart + limits.response, .close) }
        switch reading {
        case .idle(let since):
            if unansweredCount <= 0 { consider(since + limits.idle, .close) }
        case .head(let since): consider(since + limits.head, .refuse(.head))
        case .body(let body):
            if let end = body.end { consider(end, .refuse(.body)) }
            if let since = body.waitingSince {
                let allowance = limits.bodyPatience + Self.time(for: body.byteCount, at: limits.minimumBodyRate)
                consider(since + (allowance - body.waited), .refuse(.body))
            }
        case .failed: break
        }
        return next
    }

    /// What is due, if anything is.
    package mutating func expire(now: NIODeadline) -> Action? {
        guard let next = next(), next.deadline <= now else { return nil }
        switch next.action {
        case .refuse: reading = .failed
        case .close: isClosed = true
        }
        return next.action
    }

    /// The connection is gone; nothing has a deadline any more.
    package mutating func close() {
        isClosed = true
    }

    private static func time(for byteCount: Int, at rate: Int) -> TimeAmount {
        .milliseconds(Int64(byteCount) * 1_000 / Int64(max(1, rate)))
    }
}
