import Foundation

/// Where results go: a file, or standard output. Buffers, and reports every failure to write.
struct OutputFile: ~Copyable {
    private let descriptor: Int32
    private let path: String
    private var buffer: [UInt8] = []
    private(set) var byteCount = 0

    /// - Parameter path: `-` for standard output; a file is made anew.
    init(path: String) throws(CommandFailure) {
        self.path = path
        if path == "-" {
            descriptor = STDOUT_FILENO
        } else {
            descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                throw .failed("cannot write the output '\(path)': \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Refuses an output that is the input: making it anew would empty what is to be read.
    static func refuse(_ output: String, asOutputOf input: String) throws(CommandFailure) {
        func file(_ path: String) -> String { URL(fileURLWithPath: path).resolvingSymlinksInPath().path }
        guard output != "-", input != "-", file(output) == file(input) else { return }
        throw .usage("--output '\(output)' is the input")
    }

    deinit {
        if descriptor != STDOUT_FILENO { close(descriptor) }
    }

    mutating func write(_ bytes: some Collection<UInt8>) throws(CommandFailure) {
        buffer.append(contentsOf: bytes)
        byteCount += bytes.count
        if buffer.count >= 1 << 16 { try flush() }
    }

    /// Little-endian float32.
    mutating func write(_ values: [Float]) throws(CommandFailure) {
        buffer.reserveCapacity(buffer.count + values.count * 4)
        for value in values {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { buffer.append(contentsOf: $0) }
        }
        byteCount += values.count * 4
        if buffer.count >= 1 << 16 { try flush() }
    }

    mutating func flush() throws(CommandFailure) {
        var written = 0
        while written < buffer.count {
            let count = buffer.withUnsafeBytes { bytes in
                #if canImport(Glibc)
                    Glibc.write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
                #else
                    Foundation.write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
                #endif
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw .failed("cannot write the output '\(path)': \(String(cString: strerror(errno)))")
            }
            written += count
        }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Replaces bytes at the start, once everything is written. A pipe cannot do that.
    mutating func overwriteStart(with bytes: [UInt8]) throws(CommandFailure) {
        try flush()
        guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            throw .failed("cannot rewrite the start of '\(path)': \(String(cString: strerror(errno)))")
        }
    }
}
