import Glibc
import Synchronization

/// Wakes a thread that sleeps in `poll`. An interruption meets only the operation that it was meant for.
final class Interrupter: Sendable {
    /// Names one operation.
    struct Operation: Sendable, Equatable {
        fileprivate let number: UInt64
    }

    private struct State {
        var current: UInt64 = 0
        var isInterrupted = false
    }

    private let state = Mutex(State())
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws(PostgresError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw .unavailable("no file descriptor is left (errno \(errno))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    fileprivate var descriptor: Int32 { readEnd }

    /// Begins an operation; what came for the one before it is forgotten.
    func begin() -> Operation {
        state.withLock { state in
            state.current += 1
            if state.isInterrupted {
                var byte: UInt8 = 0
                while read(readEnd, &byte, 1) == 1 {}
                state.isInterrupted = false
            }
            return Operation(number: state.current)
        }
    }

    /// Wakes the operation if it is still the current one. Any thread may call it.
    func interrupt(_ operation: Operation) {
        state.withLock { state in
            guard state.current == operation.number, !state.isInterrupted else { return }
            state.isInterrupted = true
            var byte: UInt8 = 1
            _ = write(writeEnd, &byte, 1)
        }
    }

    /// Sleeps; false where it was interrupted.
    func sleep(until deadline: ContinuousClock.Instant) -> Bool {
        switch Poll.wait(for: 0, on: -1, patience: Patience(deadline: deadline, interrupter: self)) {
        case .interrupted: false
        case .ready, .timedOut: true
        }
    }
}

enum Poll {
    enum Outcome {
        case ready(Int32)
        case interrupted
        case timedOut
    }

    /// Sleeps until one of the events, the interruption or the deadline. A negative socket is never ready.
    static func wait(for events: Int32, on socket: Int32, patience: Patience) -> Outcome {
        while true {
            let left = patience.deadline - .now
            guard left > .zero else { return .timedOut }
            let milliseconds =
                left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000 + 1
            var descriptors = [
                pollfd(fd: socket, events: Int16(events), revents: 0),
                pollfd(fd: patience.interrupter?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&descriptors, 2, Int32(min(milliseconds, Int64(Int32.max))))
            // Fails only with EINTR or for want of memory; both pass.
            guard count > 0 else { continue }
            if descriptors[1].revents != 0 { return .interrupted }
            return .ready(Int32(descriptors[0].revents))
        }
    }
}
