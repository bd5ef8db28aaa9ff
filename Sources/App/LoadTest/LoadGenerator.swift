import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// Sends a plan's load from one event loop and tallies what comes back. Lives on that loop; `LoadSchedule` decides when.
///
/// It is connecting (can go to: running, draining, over), running (can go to: draining), draining: nothing is sent any
/// more, the last answers are waited for (can go to: over), or over.
package final class LoadGenerator {
    private enum Phase { case connecting, running, draining, over }

    private final class Lane {
        let kind: ClientKind
        let requests: LoadRequests
        var schedule: LoadSchedule
        var tally: LoadTally
        var texts: LoadTexts?
        var idle: [LoadConnection] = []
        var openingCount = 0
        /// Connections that stood, whether or not they still do: a server may close one that has no request yet.
        var stoodCount = 0
        var wake: (moment: Duration, task: Scheduled<Void>)?
        /// No connection is tried before.
        var nextAttempt: Duration = .zero

        init(
            kind: ClientKind, requests: LoadRequests, schedule: consuming LoadSchedule, tally: LoadTally,
            texts: LoadTexts?
        ) {
            self.kind = kind
            self.texts = texts
            self.requests = requests
            self.schedule = schedule
            self.tally = tally
        }
    }

    private static let tick = TimeAmount.milliseconds(100)
    private static let connectTimeout = TimeAmount.seconds(10)
    /// Connections of a lane that are being made at one time.
    private static let openingLimit = 16

    private let plan: LoadPlan
    private let loop: any EventLoop
    private let stop: LoadStop
    private let promise: EventLoopPromise<LoadOutcome>
    private let bootstrap: ClientBootstrap
    private var texts: LoadTexts
    private var check = AnswerCheck()
    private var lanes: [Lane] = []
    private var connections: [ObjectIdentifier: LoadConnection] = [:]
    private var phase = Phase.connecting
    private var beginning = NIODeadline.now()
    private var wallBeginning = 0.0
    private var sentCount = 0
    private var processorTimes: (start: Duration, end: Duration) = (.zero, .zero)
    private var end = LoadOutcome.End.duration
    private var drainEnd: Duration = .zero

    /// Runs a plan to its end.
    ///
    /// - Throws: `ServiceFailure.unreachable` where no connection can be made at the start.
    package static func run(_ plan: LoadPlan, stop: LoadStop) async throws -> LoadOutcome {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let promise = loop.makePromise(of: LoadOutcome.self)
        loop.execute { LoadGenerator(plan, loop: loop, stop: stop, promise: promise).connect() }
        let result: Result<LoadOutcome, any Error>
        do { result = .success(try await promise.futureResult.get()) } catch { result = .failure(error) }
        try await group.shutdownGracefully()
        return try result.get()
    }

    private init(_ plan: LoadPlan, loop: any EventLoop, stop: LoadStop, promise: EventLoopPromise<LoadOutcome>) {
        self.plan = plan
        self.loop = loop
        self.stop = stop
        self.promise = promise
        texts = plan.texts
        bootstrap = ClientBootstrap(group: loop).connectTimeout(Self.connectTimeout).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHTTPClientHandlers() }
        }
        lanes = plan.lanes.enumerated().map { place, lane in
            Lane(
                kind: lane.kind, requests: LoadRequests(lane, of: plan),
                // Each lane has random numbers of its own, so that one more lane changes no other's arrivals.
                schedule: LoadSchedule(lane.kind.loop, end: plan.end, seed: plan.seed &+ UInt64(place) &* 0x9E37_79B9),
                tally: LoadTally(window: plan.warmUp..<plan.end, goodLatency: plan.goodLatency),
                texts: lane.texts)
        }
    }

    private var now: Duration { .nanoseconds((NIODeadline.now() - beginning).nanoseconds) }

    // MARK: Phases

    private func connect() {
        // Before the first connection, each of which may take seconds to come to nothing.
        watch()
        fill()
    }

    /// Opens what the lanes need at their start; once each of these connections has stood, the run begins. What was lost
    /// meanwhile is opened again when it is wanted.
    private func fill() {
        guard phase == .connecting else { return }
        for place in lanes.indices {
            let lane = lanes[place]
            while lane.stoodCount + lane.openingCount < lane.kind.loop.startConnectionCount,
                lane.openingCount < Self.openingLimit
            {
                guard open(place) else { break }
            }
        }
        let isReady = lanes.allSatisfy { $0.stoodCount >= $0.kind.loop.startConnectionCount }
        // Where a plan allows fewer connections than that, the lanes share what there is.
        if isReady || isFull && openingCount == 0 { begin() }
    }

    private func begin() {
        startClock()
        phase = .running
        loop.assumeIsolated().scheduleTask(deadline: beginning + TimeAmount(plan.warmUp)) {
            self.processorTimes.start = ProcessorTime.used()
        }
        loop.assumeIsolated().scheduleTask(deadline: beginning + TimeAmount(plan.end)) { self.drain(.duration) }
        for place in lanes.indices { pump(place) }
    }

    private func startClock() {
        beginning = NIODeadline.now()
        wallBeginning = Date().timeIntervalSince1970
        processorTimes.start = ProcessorTime.used()
    }

    private func drain(_ end: LoadOutcome.End) {
        guard phase == .connecting || phase == .running else { return }
        // Stopped before it began, nothing was wanted.
        if phase == .connecting { startClock() }
        phase = .draining
        self.end = end
        let moment = now
        processorTimes.end = ProcessorTime.used()
        for lane in lanes {
            lane.wake?.task.cancel()
            lane.tally.close(at: moment, unsentCount: lane.schedule.close(now: moment))
        }
        // An interrupted run waits for nobody.
        drainEnd = moment + (end == .interrupted ? .zero : plan.requestTimeout)
        finishIfDrained()
    }

    private func finishIfDrained() {
        guard phase == .draining else { return }
        let busyCount = connections.values.count { $0.request != nil }
        guard busyCount == 0 || now >= drainEnd else { return }
        phase = .over
        if end != .interrupted {
            for connection in connections.values {
                guard let request = connection.request else { continue }
                lanes[connection.lane].tally.failed(
                    LoadError.noAnswerInTime.description, wanted: request.wanted, ended: now)
            }
        }
        for connection in connections.values { connection.close(LoadError.connectionLost) }
        promise.succeed(
            LoadOutcome(
                end: end, lanes: lanes.map { LoadOutcome.Lane(kind: $0.kind, tally: $0.tally) },
                beganAt: wallBeginning, processorTime: max(.zero, processorTimes.end - processorTimes.start),
                abandonedCount: end == .interrupted ? busyCount : 0))
    }

    /// Looks a few times a second for requests that have waited too long, and for the wish to stop.
    private func watch() {
        guard phase != .over else { return }
        if stop.isRaised { drain(.interrupted) }
        let limit = now - plan.requestTimeout
        for connection in connections.values {
            if let request = connection.request, request.sent < limit { connection.close(LoadError.noAnswerInTime) }
        }
        finishIfDrained()
        loop.assumeIsolated().scheduleTask(in: Self.tick) { self.watch() }
    }

    // MARK: Sending

    /// Sends what is due on a lane, as far as there are connections, and comes again when the next is due.
    private func pump(_ place: Int) {
        let lane = lanes[place]
        while phase == .running {
            let moment = now
            switch lane.schedule.next(now: moment) {
            case .due:
                guard sentCount < plan.maximumRequestCount else { return drain(.requests) }
                guard let connection = takeIdle(lane) else {
                    // More may be due by then; each look opens one more, where there may be more.
                    if lane.openingCount < Self.openingLimit, moment >= lane.nextAttempt { _ = open(place) }
                    return wake(place, at: max(lane.nextAttempt, moment + .milliseconds(1)))
                }
                let wanted = lane.schedule.depart(now: moment)
                let (head, body) = request(lane)
                sentCount += 1
                connection.send(
                    LoadConnection.Request(textCount: lane.requests.textCount, wanted: wanted, sent: moment),
                    head: head, body: body)
            case .wait(let moment): return wake(place, at: moment)
            case .idle, .over: return
            }
        }
    }

    private func request(_ lane: Lane) -> (HTTPRequestHead, ByteBuffer) {
        guard var own = lane.texts else { return lane.requests.next(from: &texts) }
        lane.texts = nil  // taken out, so that it is changed in place
        defer { lane.texts = own }
        return lane.requests.next(from: &own)
    }

    private func takeIdle(_ lane: Lane) -> LoadConnection? {
        while let connection = lane.idle.popLast() {
            if connection.isOpen { return connection }
        }
        return nil
    }

    private func wake(_ place: Int, at moment: Duration) {
        let lane = lanes[place]
        if let wake = lane.wake {
            guard moment < wake.moment else { return }
            wake.task.cancel()
        }
        let task = loop.assumeIsolated().scheduleTask(deadline: beginning + TimeAmount(moment)) {
            lane.wake = nil
            self.pump(place)
        }
        lane.wake = (moment, task)
    }

    // MARK: Connections

    private var openingCount: Int { lanes.reduce(0) { $0 + $1.openingCount } }
    private var isFull: Bool { connections.count + openingCount >= plan.maximumConnectionCount }

    /// - Returns: false where there may be no more connections.
    private func open(_ place: Int) -> Bool {
        guard !isFull else { return false }
        let lane = lanes[place]
        lane.openingCount += 1
        bootstrap.connect(host: plan.address.host, port: plan.address.port).assumeIsolated().whenComplete { result in
            lane.openingCount -= 1
            switch result {
            case .success(let channel): self.opened(channel, place)
            case .failure(let error): self.failedToOpen(place, error)
            }
        }
        return true
    }

    private func opened(_ channel: any Channel, _ place: Int) {
        guard phase == .connecting || phase == .running else {
            channel.close(promise: nil)
            return
        }
        let connection = LoadConnection(lane: place, channel: channel) { [weak self] in self?.handle($1, of: $0) }
        do {
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            channel.close(promise: nil)
            return failedToOpen(place, error)
        }
        connections[ObjectIdentifier(connection)] = connection
        lanes[place].stoodCount += 1
        lanes[place].idle.append(connection)
        connection.endIfInactive()
        phase == .connecting ? fill() : pump(place)
    }

    private func failedToOpen(_ place: Int, _ error: any Error) {
        switch phase {
        case .connecting:
            phase = .over
            for connection in connections.values { connection.close(error) }
            promise.fail(ServiceFailure.unreachable("\(plan.address.authority): \(error)"))
        case .running:
            let moment = now
            lanes[place].tally.failedToConnect("cannot connect", at: moment)
            lanes[place].nextAttempt = moment + LoadPlan.pauseAfterFailure
            pump(place)
        case .draining, .over: break
        }
    }

    private func handle(_ event: LoadConnection.Event, of connection: LoadConnection) {
        let place = connection.lane
        let lane = lanes[place]
        switch event {
        case .answered(let request, let head, let body):
            let moment = now
            var pause = Duration.milliseconds(lane.kind.thinkMilliseconds)
            if let complaint = complaint(head, body, request) {
                lane.tally.failed(complaint, wanted: request.wanted, ended: moment)
            } else {
                let answer = LoadAnswer(head: head, body: body)
                lane.tally.answered(
                    answer, LoadTally.Moments(wanted: request.wanted, sent: request.sent, ended: moment),
                    textCount: request.textCount)
                if !answer.isSuccess { pause = max(pause, self.pause(after: answer)) }
            }
            lane.schedule.requestEnded(now: moment, pause: pause)
            if head.isKeepAlive { lane.idle.append(connection) } else { connection.close(LoadError.connectionLost) }
        case .ended(let request, let error):
            connections[ObjectIdentifier(connection)] = nil
            lane.idle.removeAll { $0 === connection }
            if phase == .connecting { return fill() }
            guard let request, phase != .over else { break }
            let moment = now
            lane.tally.failed(Self.name(of: error), wanted: request.wanted, ended: moment)
            lane.schedule.requestEnded(now: moment, pause: LoadPlan.pauseAfterFailure)
        }
        pump(place)
        finishIfDrained()
    }

    /// What a closed loop's user waits after a refusal.
    private func pause(after answer: LoadAnswer) -> Duration {
        switch plan.retryAfter {
        case .honour: min(answer.pause ?? LoadPlan.pauseAfterFailure, LoadPlan.longestPause)
        case .ignore: .zero
        }
    }

    private func complaint(_ head: HTTPResponseHead, _ body: ByteBuffer, _ request: LoadConnection.Request) -> String? {
        guard plan.isChecked, (200..<300).contains(head.status.code) else { return nil }
        return check.complaint(Array(body.readableBytesView), textCount: request.textCount)
    }

    /// Few different ones: an error is a key of the report.
    private static func name(of error: any Error) -> String {
        switch error {
        case let error as LoadError: error.description
        case HTTPParserError.invalidEOFState: LoadError.connectionLost.description
        case is HTTPParserError: "an answer that is not HTTP"
        default: LoadError.connectionLost.description
        }
    }
}
