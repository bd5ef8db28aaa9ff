import Foundation
import Synchronization
import Testing

/// Runs tests that compute for long on a thread of their own, one after the other: on Swift's pool, which has a thread a
/// core, they would make every test that waits for something miss its time.
struct OwnThread: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(QueueExecutor.shared) { try await function() }
    }
}

extension Trait where Self == OwnThread {
    static var onOwnThread: OwnThread { OwnThread() }
}

/// One thread that gives way to everything else: so do the threads that its tests make.
private final class QueueExecutor: TaskExecutor {
    static let shared = QueueExecutor()
    private let jobs = Mutex<[UnownedJob]>([])
    private let waiting = DispatchSemaphore(value: 0)

    private init() {
        let thread = Thread { [unowned self] in
            #if os(Linux)
                // Of the calling thread alone, and of those that it makes.
                _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 15)
            #endif
            while true {
                waiting.wait()
                guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { continue }
                job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }
        thread.stackSize = 8 << 20
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        waiting.signal()
    }
}
