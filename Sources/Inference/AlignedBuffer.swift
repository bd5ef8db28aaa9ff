#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Zeroed bytes at an address that is a multiple of 64, freed with their owner.
///
/// `@unchecked`: whoever owns the buffer alone may write it; `EncoderModel` shares its weights only once they are written,
/// and the threads of one pass write rows that no other of them touches.
struct AlignedBuffer: ~Copyable, @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int

    private static let hugePage = 2 << 20

    init(byteCount: Int) {
        precondition(byteCount >= 0)
        let size = max(64, byteCount)
        // Weights are streamed on every pass: pages of 2 MiB spare the small TLB.
        let alignment = size >= 2 * Self.hugePage ? Self.hugePage : 64
        var memory: UnsafeMutableRawPointer?
        let status = posix_memalign(&memory, alignment, size)
        guard status == 0, let memory else { preconditionFailure("out of memory: \(size) bytes") }
        #if os(Linux)
            // Advice only: without huge pages everything works, a little slower.
            if alignment == Self.hugePage { _ = madvise(memory, size, MADV_HUGEPAGE) }
        #endif
        memset(memory, 0, size)
        base = memory
        self.byteCount = size
    }

    init(floatCount: Int) {
        self.init(byteCount: floatCount * MemoryLayout<Float>.stride)
    }

    deinit {
        free(base)
    }

    func contains(_ range: Range<Int>) -> Bool {
        range.lowerBound >= 0 && range.upperBound <= byteCount
    }

    /// - Precondition: `count` floats stand behind `offset`, which is in bytes.
    func floats(at offset: Int, count: Int) -> UnsafeMutablePointer<Float> {
        precondition(contains(offset..<offset + count * MemoryLayout<Float>.stride))
        return (base + offset).assumingMemoryBound(to: Float.self)
    }

    /// - Precondition: `count` integers stand behind `offset`, which is in bytes.
    func integers(at offset: Int, count: Int) -> UnsafeMutablePointer<Int32> {
        precondition(contains(offset..<offset + count * MemoryLayout<Int32>.stride))
        return (base + offset).assumingMemoryBound(to: Int32.self)
    }
}

/// Rows of one buffer, `stride` bytes apart, every one at a multiple of 64.
struct Matrix: ~Copyable {
    let stride: Int
    private var buffer: AlignedBuffer
    private(set) var capacity = 0

    init(rowByteCount: Int) {
        stride = (rowByteCount + 63) / 64 * 64
        buffer = AlignedBuffer(byteCount: 0)
    }

    var byteCount: Int { capacity * stride }

    /// Forgets all rows where it grows.
    mutating func reserve(rowCount: Int) {
        guard rowCount > capacity else { return }
        buffer = AlignedBuffer(byteCount: rowCount * stride)
        capacity = rowCount
    }

    var rows: Rows { Rows(base: buffer.base, stride: stride, capacity: capacity) }
}

/// A matrix seen by the kernels, as long as its owner lives.
struct Rows {
    let base: UnsafeMutableRawPointer
    /// Bytes between rows.
    let stride: Int
    let capacity: Int

    /// The same rows without their first bytes.
    func columns(from offset: Int) -> Rows {
        precondition(offset <= stride)
        return Rows(base: base + offset, stride: stride, capacity: capacity)
    }

    func pointer(toRow row: Int) -> UnsafeMutableRawPointer {
        precondition(row >= 0 && row <= capacity)
        return base + row * stride
    }
}
