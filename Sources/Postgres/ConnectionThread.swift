import Dispatch
import Glibc
import Synchronization

/// A thread of its own for one connection: libpq blocks, and must not block the threads that all tasks share.
final class ConnectionThread: SerialExecutor {
    private enum Work: Sendable {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private struct State {
        var queue: [Work] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)

    init() throws(PostgresError) {
        guard BackgroundThread.start({ [self] in run() }) else { throw .unavailable("no thread can be started") }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        submit(.job(UnownedJob(job)))
    }

    /// Runs the closure on the thread, after what was given to it before.
    func submit(_ closure: @escaping @Sendable () -> Void) {
        submit(.closure(closure))
    }

    /// Ends the thread once its queue is empty.
    func stop() {
        state.withLock { $0.isStopped = true }
        wake.signal()
    }

    private func submit(_ work: Work) {
        state.withLock { $0.queue.append(work) }
        wake.signal()
    }

    private func run() {
        while true {
            wake.wait()
            let (work, isStopped) = state.withLock { state in
                defer { state.queue.removeAll(keepingCapacity: true) }
                return (state.queue, state.isStopped)
            }
            for item in work {
                switch item {
                case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
                case .closure(let closure): closure()
                }
            }
            if isStopped, work.isEmpty { return }
            if isStopped { wake.signal() }
        }
    }
}

enum BackgroundThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Runs the closure on a new thread; false where the system gives none.
    static func start(_ closure: @escaping @Sendable () -> Void) -> Bool {
        let body = Unmanaged.passRetained(Body(closure))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard status == 0 else {
            body.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
