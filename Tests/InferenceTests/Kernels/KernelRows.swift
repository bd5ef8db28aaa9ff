import CKernels
import Foundation

/// Rows of bytes, some bytes apart, for a kernel to read or to write.
///
/// What it may not write holds canaries: the gaps between rows, and 64 bytes behind the last one. What it may only
/// read ends exactly where its last row does, so that the address sanitizer sees one byte more.
final class KernelRows {
    enum Use { case reading, writing }

    static let canary: UInt8 = 0x7F

    let base: UnsafeMutableRawPointer
    let rowCount: Int
    let rowByteCount: Int
    let stride: Int
    private let byteCount: Int

    init(_ use: Use, rowCount: Int, rowByteCount: Int, gap: Int = 0) {
        self.rowCount = rowCount
        self.rowByteCount = rowByteCount
        stride = rowByteCount + gap
        byteCount = max(0, rowCount - 1) * stride + (rowCount > 0 ? rowByteCount : 0) + (use == .writing ? 64 : 0)
        base = .allocate(byteCount: byteCount, alignment: 16)
        memset(base, Int32(Self.canary), byteCount)
    }

    deinit { base.deallocate() }

    func row(_ row: Int) -> UnsafeMutableRawPointer { base + row * stride }
    func floats(_ row: Int) -> UnsafeMutablePointer<Float> { self.row(row).assumingMemoryBound(to: Float.self) }
    func halves(_ row: Int) -> UnsafeMutablePointer<UInt16> { self.row(row).assumingMemoryBound(to: UInt16.self) }
    func bytes(_ row: Int) -> UnsafeMutablePointer<UInt8> { self.row(row).assumingMemoryBound(to: UInt8.self) }

    func value(_ row: Int, _ column: Int, _ precision: ek_precision) -> Float {
        precision == ek_f32 ? floats(row)[column] : widened(halves(row)[column])
    }

    func set(_ value: Float, _ row: Int, _ column: Int, _ precision: ek_precision) {
        if precision == ek_f32 { floats(row)[column] = value } else { halves(row)[column] = narrowed(value) }
    }

    /// Whether nothing was written beside the rows or behind them, nor in their bytes from one on.
    func hasCanaries(fromByte end: Int? = nil) -> Bool {
        let end = end ?? rowByteCount
        for row in 0..<rowCount {
            let isLast = row == rowCount - 1
            let count = isLast ? byteCount - row * stride - end : stride - end
            if !Self.areCanaries(self.row(row) + end, count) { return false }
        }
        return true
    }

    static func areCanaries(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        (0..<count).allSatisfy { bytes.load(fromByteOffset: $0, as: UInt8.self) == canary }
    }
}

/// Numbers in [-1, 1], the same on every run.
struct NumberPool {
    private static let numbers: [Float] = {
        var random = SeededRandom(state: 4)
        return (0..<65_536).map { _ in Float.random(in: -1...1, using: &random) }
    }()

    private var random: SeededRandom

    init(seed: Int) { random = SeededRandom(state: UInt64(seed)) }

    mutating func floats(_ count: Int) -> [Float] {
        var floats: [Float] = []
        floats.reserveCapacity(count)
        while floats.count < count {
            let start = Int.random(in: 0..<Self.numbers.count, using: &random)
            floats += Self.numbers[start..<min(start + count - floats.count, Self.numbers.count)]
        }
        return floats
    }

    mutating func float() -> Float { floats(1)[0] }

    /// Fills rows with numbers in the precision; for i8 with bytes of any value.
    mutating func fill(_ rows: KernelRows, _ precision: ek_precision) {
        for row in 0..<rows.rowCount {
            switch precision {
            case ek_f32:
                let count = rows.rowByteCount / 4
                floats(count).withUnsafeBufferPointer { numbers in
                    if let base = numbers.baseAddress { rows.floats(row).update(from: base, count: count) }
                }
            case ek_bf16:
                for (column, number) in floats(rows.rowByteCount / 2).enumerated() {
                    rows.halves(row)[column] = narrowed(number)
                }
            default:
                for (column, number) in floats(rows.rowByteCount).enumerated() {
                    rows.bytes(row)[column] = UInt8(truncatingIfNeeded: number.bitPattern >> 3)
                }
            }
        }
    }
}
