import HTTPAPI
import NIOCore
import Testing

struct ConnectionWatchTests {
    private static func time(_ seconds: Double) -> NIODeadline {
        .uptimeNanoseconds(UInt64((1_000 + seconds) * 1e9))
    }

    private static func makeWatch() -> ConnectionWatch {
        var configuration = HTTPConfiguration()
        configuration.headTimeout = .seconds(10)
        configuration.bodyTimeout = .seconds(30)
        configuration.bodyPatience = .seconds(10)
        configuration.minimumBodyRate = 1_000
        configuration.responseTimeout = .seconds(20)
        configuration.minimumResponseRate = 1_000
        configuration.idleTimeout = .seconds(75)
        configuration.lingerTimeout = .seconds(2)
        return ConnectionWatch(limits: .init(configuration), now: time(0))
    }

    private static func expect(
        _ watch: borrowing ConnectionWatch, _ seconds: Double, _ action: ConnectionWatch.Action,
        at location: SourceLocation = #_sourceLocation
    ) {
        let next = watch.next()
        #expect(next?.deadline == time(seconds), sourceLocation: location)
        #expect(next?.action == action, sourceLocation: location)
    }

    @Test func silentConnectionsAreClosed() {
        var watch = Self.makeWatch()
        Self.expect(watch, 75, .close)
        let early = watch.expire(now: Self.time(74.9))
        #expect(early == nil)
        let due = watch.expire(now: Self.time(75))
        #expect(due == .close)
        let isOver = watch.next() == nil
        #expect(isOver)
    }

    @Test func drippedHeadsAreRefused() {
        var watch = Self.makeWatch()
        watch.receivedBytes(now: Self.time(5))
        watch.receivedBytes(now: Self.time(9))
        Self.expect(watch, 15, .refuse(.head))
    }

    @Test func wholeBodiesHaveATimeThatNoByteExtends() {
        var watch = Self.makeWatch()
        watch.receivedHead(isStream: false, now: Self.time(1))
        for second in 2..<31 {
            watch.askedForMore(now: Self.time(Double(second)))
            watch.receivedBody(byteCount: 1 << 20, now: Self.time(Double(second)))
        }
        Self.expect(watch, 31, .refuse(.body))
    }

    @Test func drippedBodiesUseUpThePatience() {
        var watch = Self.makeWatch()
        watch.receivedHead(isStream: true, now: Self.time(0))
        watch.askedForMore(now: Self.time(0))
        watch.receivedBody(byteCount: 1, now: Self.time(4))
        watch.askedForMore(now: Self.time(4))
        watch.receivedBody(byteCount: 1, now: Self.time(8))
        watch.askedForMore(now: Self.time(8))
        Self.expect(watch, 10.002, .refuse(.body))
        let due = watch.expire(now: Self.time(11))
        #expect(due == .refuse(.body))
        let hasDeadline = watch.next() != nil
        #expect(!hasDeadline)
    }

    @Test func steadyStreamsMayLastAndOurOwnTimeDoesNotCount() {
        var watch = Self.makeWatch()
        watch.receivedHead(isStream: true, now: Self.time(0))
        for hour in 0..<100 {
            watch.askedForMore(now: Self.time(Double(hour) * 3_600))
            watch.receivedBody(byteCount: 2_000, now: Self.time(Double(hour) * 3_600 + 1))
            let hasDeadline = watch.next() != nil
            #expect(!hasDeadline)
        }
    }

    @Test func workHasNoDeadlineHere() {
        var watch = Self.makeWatch()
        watch.receivedHead(isStream: false, now: Self.time(0))
        watch.receivedEnd(now: Self.time(1))
        let hasDeadline = watch.next() != nil
        #expect(!hasDeadline)
    }

    @Test func readersMustKeepTakingTheirAnswer() {
        var watch = Self.makeWatch()
        watch.receivedHead(isStream: false, now: Self.time(0))
        watch.receivedEnd(now: Self.time(0))
        watch.wroteResponse(byteCount: 1_000_000, now: Self.time(5))
        Self.expect(watch, 25, .close)
        // Less than the rate asks for: no time is won.
        watch.handedOverResponse(byteCount: 19_999, now: Self.time(6))
        Self.expect(watch, 25, .close)
        watch.handedOverResponse(byteCount: 1, now: Self.time(24))
        Self.expect(watch, 44, .close)
        watch.handedOverResponse(byteCount: 980_000, now: Self.time(30))
        watch.flushedResponse(endsConnection: false, now: Self.time(30))
        Self.expect(watch, 105, .close)
    }

    @Test func aStalledAnswerHasADeadlineBehindAFinishedOne() {
        var watch = Self.makeWatch()
        for _ in 0..<2 {
            watch.receivedHead(isStream: false, now: Self.time(0))
            watch.receivedEnd(now: Self.time(0))
            watch.wroteResponse(byteCount: 100, now: Self.time(1))
        }
        watch.handedOverResponse(byteCount: 100, now: Self.time(2))
        watch.flushedResponse(endsConnection: false, now: Self.time(2))
        Self.expect(watch, 21, .close)
    }

    @Test func endedConnectionsLingerShortly() {
        var watch = Self.makeWatch()
        watch.receivedHead(isStream: false, now: Self.time(0))
        watch.flushedResponse(endsConnection: true, now: Self.time(1))
        Self.expect(watch, 3, .close)
    }

    @Test func stoppingClosesIdleConnectionsAndFinishesTheOthers() {
        var idle = Self.makeWatch()
        let closesIdle = idle.quiesce()
        #expect(closesIdle)
        var busy = Self.makeWatch()
        busy.receivedHead(isStream: false, now: Self.time(0))
        busy.receivedEnd(now: Self.time(0))
        let closesBusy = busy.quiesce()
        #expect(!closesBusy)
        let hasDeadline = busy.next() != nil
        #expect(!hasDeadline)
        busy.flushedResponse(endsConnection: false, now: Self.time(9))
        Self.expect(busy, 11, .close)
    }
}
