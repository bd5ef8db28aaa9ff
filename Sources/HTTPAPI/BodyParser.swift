import JSON
import NIOCore
import NIOPosix

/// Parses JSON bodies, long ones on one thread of its own: 32 MiB of small values take seconds, for which the threads
/// that all requests share would answer nobody, not even `/livez`. One thread, because the allocator keeps what each
/// thread has freed.
final class BodyParser: Sendable {
    /// Shorter bodies take a few milliseconds at most, about what a change of threads may cost.
    static let longBodyBytes = 256 << 10

    private let maximumValueCount: Int
    private let pool = NIOThreadPool(numberOfThreads: 1)

    init(maximumValueCount: Int) {
        self.maximumValueCount = maximumValueCount
        pool.start()
    }

    deinit {
        pool.shutdownGracefully { _ in }
    }

    /// What `make` reads out of a body. It runs where the body was parsed, so that of long bodies one at a time is there
    /// as a value, which takes many times what is made of it; unless `make` keeps parts of the value itself, as that of
    /// JSON documents does.
    func read<Content: Sendable>(
        _ buffer: ByteBuffer, _ make: @escaping @Sendable (JSONValue) throws(RequestError) -> Content
    ) async -> Result<Content, RequestError> {
        let limit = maximumValueCount
        return await run(buffer) {
            switch Self.value(of: buffer, limit: limit) {
            case .failure(let error): return .failure(.invalidJSON(error))
            case .success(let value):
                do throws(RequestError) { return .success(try make(value)) } catch { return .failure(error) }
            }
        }
    }

    func parse(_ buffer: ByteBuffer) async -> Result<JSONValue, JSONError> {
        let limit = maximumValueCount
        return await run(buffer) { Self.value(of: buffer, limit: limit) }
    }

    private func run<Answer: Sendable>(_ buffer: ByteBuffer, _ work: @escaping @Sendable () -> Answer) async -> Answer {
        guard buffer.readableBytes > Self.longBodyBytes else { return work() }
        return await withCheckedContinuation { continuation in
            // Runs in any case; the pool stops only when nobody is left who could wait.
            pool.submit { _ in continuation.resume(returning: work()) }
        }
    }

    private static func value(of buffer: ByteBuffer, limit: Int) -> Result<JSONValue, JSONError> {
        do throws(JSONError) {
            return .success(try JSONValue(parsing: buffer.readableBytesUInt8Span, maximumValueCount: limit))
        } catch {
            return .failure(error)
        }
    }
}
