import Foundation

/// An output that stands under its name when it is whole, and not before: until then what was there stays. Standard output
/// and devices are written as they are.
package struct AtomicOutput: ~Copyable {
    private var file: OutputFile
    /// Where the file grows, and its name at the end.
    private let names: (temporary: String, final: String)?
    private var isFinished = false

    /// - Parameter path: `-` for standard output.
    package init(path: String) throws(CommandFailure) {
        var status = stat()
        let isDevice = stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
        guard path != "-", !isDevice else {
            names = nil
            file = try OutputFile(path: path)
            return
        }
        let final = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let temporary = "\(final).\(getpid()).part"
        names = (temporary, final)
        file = try OutputFile(path: temporary)
    }

    deinit {
        if let names, !isFinished { unlink(names.temporary) }
    }

    package mutating func write(_ bytes: some Collection<UInt8>) throws(CommandFailure) {
        try file.write(bytes)
    }

    package mutating func finish() throws(CommandFailure) {
        try file.flush()
        guard let names else { return }
        guard rename(names.temporary, names.final) == 0 else {
            throw .failed("cannot write the output '\(names.final)': \(String(cString: strerror(errno)))")
        }
        isFinished = true
    }
}
