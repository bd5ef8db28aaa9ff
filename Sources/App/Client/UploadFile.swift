import Foundation
import NIOPosix

/// A file, or standard input, read piece by piece as the server takes it.
package final class UploadFile: Sendable {
    private static let pieceByteCount = 128 << 10

    private let descriptor: Int32
    private let path: String

    /// Whether it can be read again from its start.
    package let isRepeatable: Bool
    /// Nil where it is no regular file.
    package let byteCount: Int?

    /// - Parameter path: `-` for standard input.
    package init(path: String) throws(CommandFailure) {
        self.path = path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .failed("cannot read the input '\(path)': \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .failed("cannot read the input '\(path)': \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw .failed("the input '\(path)' is a folder") }
        isRepeatable = path != "-" && status.st_mode & S_IFMT == S_IFREG
        byteCount = isRepeatable ? Int(status.st_size) : nil
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// Hands over the whole of it; may be repeated where it `isRepeatable`.
    package func read(_ take: @Sendable ([UInt8]) async throws -> Void) async throws {
        if isRepeatable { lseek(descriptor, 0, SEEK_SET) }
        while true {
            try Task.checkCancellation()
            // Reading may block, and the threads that tasks run on must not.
            switch try await NIOThreadPool.singleton.runIfActive({ try self.piece() }) {
            case .none: continue
            case .some(let bytes) where bytes.isEmpty: return
            case .some(let bytes): try await take(bytes)
            }
        }
    }

    /// Empty at the end; nil where nothing came for a moment, so that a reader who is no longer wanted can leave.
    private func piece() throws -> [UInt8]? {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 250) != 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Self.pieceByteCount)
        while true {
            let count = bytes.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return Array(bytes.prefix(count)) }
            guard errno == EINTR else {
                throw CommandFailure.failed("cannot read the input '\(path)': \(String(cString: strerror(errno)))")
            }
        }
    }
}
