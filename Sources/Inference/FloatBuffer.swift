#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Zeroed floats at an address that is a multiple of 64 bytes, freed with their owner.
///
/// `@unchecked`: whoever owns the buffer alone may write it; `EncoderModel` shares its weights only once they are written.
struct FloatBuffer: ~Copyable, @unchecked Sendable {
    let base: UnsafeMutablePointer<Float>
    let count: Int

    private static let hugePage = 2 << 20

    init(count: Int) {
        precondition(count >= 0)
        let byteCount = max(64, count * MemoryLayout<Float>.stride)
        // Weights are streamed on every pass: pages of 2 MiB spare the small TLB.
        let alignment = byteCount >= 2 * Self.hugePage ? Self.hugePage : 64
        var memory: UnsafeMutableRawPointer?
        let status = posix_memalign(&memory, alignment, byteCount)
        guard status == 0, let memory else { preconditionFailure("out of memory: \(byteCount) bytes") }
        #if os(Linux)
            // Advice only: without huge pages everything works, a little slower.
            if alignment == Self.hugePage { _ = madvise(memory, byteCount, MADV_HUGEPAGE) }
        #endif
        memset(memory, 0, byteCount)
        base = memory.bindMemory(to: Float.self, capacity: max(16, count))
        self.count = count
    }

    deinit {
        free(base)
    }

    func contains(_ range: Range<Int>) -> Bool {
        range.lowerBound >= 0 && range.upperBound <= count
    }
}
