#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file's bytes, mapped into memory for as long as this value lives. Removing the file meanwhile does no harm.
struct MappedFile: ~Copyable {
    /// What errors call the file: its name inside the model's folder.
    let name: String
    private let address: UnsafeMutableRawPointer?
    private let byteCount: Int

    init(directory: String, name: String) throws(ModelError) {
        let mapping = try Self.map("\(directory)/\(name)", name: name)
        self.name = name
        address = mapping.address
        byteCount = mapping.byteCount
    }

    private static func map(
        _ path: String, name: String
    ) throws(ModelError) -> (address: UnsafeMutableRawPointer?, byteCount: Int) {
        // Without O_NONBLOCK a named pipe would hold the start up for ever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable(file: name, reason: reason(errno, path)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unreadable(file: name, reason: reason(errno, path)) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .unreadable(file: name, reason: "\(path) is not a regular file")
        }
        let byteCount = Int(status.st_size)
        guard byteCount > 0 else { return (nil, 0) }
        guard let address = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw .unreadable(file: name, reason: reason(errno, path))
        }
        return (address, byteCount)
    }

    deinit {
        if let address { munmap(address, byteCount) }
    }

    /// Lends the bytes; the pointer ends with `body`.
    func withBytes<Result: ~Copyable>(
        _ body: (UnsafeRawBufferPointer) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        try body(UnsafeRawBufferPointer(start: address, count: byteCount))
    }

    /// Lets the system take back the memory of some bytes; they are read again where they are asked for.
    func forget(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let (lower, upper) = ((range.lowerBound + page - 1) / page * page, range.upperBound / page * page)
        guard let address, lower < upper, upper <= byteCount else { return }
        // Advice only.
        _ = madvise(address + lower, upper - lower, MADV_DONTNEED)
    }

    static func exists(directory: String, name: String) -> Bool {
        access("\(directory)/\(name)", F_OK) == 0
    }

    private static func reason(_ code: Int32, _ path: String) -> String {
        code == ENOENT ? "\(path) does not exist" : "\(path): \(String(cString: strerror(code)))"
    }
}
