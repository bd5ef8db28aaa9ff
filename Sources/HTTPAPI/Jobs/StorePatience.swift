import Embeddings
import Logging

/// Repeats calls to the store that may succeed later, for a while: a restart of the database should cost neither an
/// upload nor a download.
struct StorePatience: Sendable {
    let limit: Duration
    let clock: any Clock<Duration>

    /// - Parameter operation: may be repeated after an error.
    func callAsFunction<Result>(
        _ operation: () async throws(StorageError) -> Result
    ) async throws(StorageError) -> Result {
        let end = ContinuousClock.now + limit
        var pause = Duration.milliseconds(50)
        while true {
            do throws(StorageError) {
                return try await operation()
            } catch {
                switch error {
                case .collectionNotFound, .internalFailure: throw error
                case .unavailable, .notWritable:
                    guard ContinuousClock.now + pause < end, !Task.isCancelled else { throw error }
                }
                Logger.current.debug("A request waits for the store", metadata: ["error": "\(error)"])
                do { try await clock.sleep(for: pause) } catch { throw .unavailable(details: "cancelled") }
                pause = min(pause * 2, .seconds(1))
            }
        }
    }
}
