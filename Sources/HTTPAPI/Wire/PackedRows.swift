import Embeddings
import NIOCore

/// Vectors as rows of one length behind each other, with a header or without: where each byte stands is known before
/// anything is read.
struct PackedRows: Sendable {
    enum Number {
        case float32
        case float16

        var byteCount: Int {
            switch self {
            case .float32: 4
            case .float16: 2
            }
        }
    }

    let number: Number
    let rowCount: Int
    let dimensions: Int
    let header: [UInt8]

    init(_ number: Number, rowCount: Int, dimensions: Int) {
        self.number = number
        self.rowCount = rowCount
        self.dimensions = dimensions
        header = []
    }

    /// NumPy's format, version 1.0: float32 in little-endian order, C order.
    init(npyRowCount rowCount: Int, dimensions: Int) {
        number = .float32
        self.rowCount = rowCount
        self.dimensions = dimensions
        var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rowCount), \(dimensions)), }"
        // Ten bytes stand before the text; all together is a multiple of 64 and ends with a newline.
        let padding = (64 - (10 + text.utf8.count + 1) % 64) % 64
        text += String(repeating: " ", count: padding) + "\n"
        let length = UInt16(text.utf8.count)
        header = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 255), UInt8(length >> 8)] + Array(text.utf8)
    }

    var bytesPerRow: Int { dimensions * number.byteCount }
    var byteCount: Int { header.count + rowCount * bytesPerRow }

    /// What a range of bytes touches.
    struct Part: Equatable, Sendable {
        var header: Range<Int>
        var rows: Range<Int>
        /// Of the first row's bytes, those before the range.
        var skippedBytes: Int
    }

    /// - Precondition: `bytes` is within `0..<byteCount`, or all of it.
    func part(_ bytes: Range<Int>) -> Part {
        let header = bytes.clamped(to: 0..<self.header.count)
        let body = max(0, bytes.lowerBound - self.header.count)..<max(0, bytes.upperBound - self.header.count)
        guard bytesPerRow > 0, !body.isEmpty else { return Part(header: header, rows: 0..<0, skippedBytes: 0) }
        let rows = (body.lowerBound / bytesPerRow)..<((body.upperBound + bytesPerRow - 1) / bytesPerRow)
        return Part(header: header, rows: rows, skippedBytes: body.lowerBound % bytesPerRow)
    }

    /// Appends one row; nil is an input without a vector, a row of NaN.
    ///
    /// - Precondition: the vector has `dimensions` values. For float16 they are halves already, as the store keeps them.
    func write(_ vector: EmbeddingVector?, to buffer: inout ByteBuffer) {
        guard let vector else {
            switch number {
            case .float32: for _ in 0..<dimensions { buffer.writeInteger(Float.nan.bitPattern, endianness: .little) }
            case .float16: for _ in 0..<dimensions { buffer.writeInteger(Float16.nan.bitPattern, endianness: .little) }
            }
            return
        }
        precondition(vector.dimensions == dimensions)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bytesPerRow) { target in
            switch number {
            case .float32:
                for (place, value) in vector.values.enumerated() {
                    unsafe target.storeBytes(
                        of: value.bitPattern.littleEndian, toByteOffset: place * 4, as: UInt32.self)
                }
            case .float16:
                for (place, value) in vector.values.enumerated() {
                    unsafe target.storeBytes(
                        of: Float16(value).bitPattern.littleEndian, toByteOffset: place * 2, as: UInt16.self)
                }
            }
            return bytesPerRow
        }
    }
}

/// What `Range` asks for (RFC 9110, 14).
enum ByteRange: Equatable {
    case whole
    case part(Range<Int>)
    case unsatisfiable

    /// Several ranges at once, and what cannot be read, are answered with the whole, as a server may.
    init(_ header: String?, byteCount: Int) {
        self = .whole
        guard let header, header.lowercased().hasPrefix("bytes=") else { return }
        let specification = header.dropFirst("bytes=".count).filter { $0 != " " && $0 != "\t" }
        let ends = specification.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else { return }
        // More digits than an integer holds are beyond the end.
        let (first, last) = (Int(ends[0]) ?? .max, Int(ends[1]) ?? .max)
        switch (ends[0].isEmpty, ends[1].isEmpty) {
        case (true, true): return
        case (true, false):
            let start = byteCount - min(last, byteCount)
            self = start < byteCount ? .part(start..<byteCount) : .unsatisfiable
        case (false, let isOpen):
            guard isOpen || first <= last else { return }
            guard first < byteCount else {
                self = .unsatisfiable
                return
            }
            self = .part(first..<(isOpen ? byteCount : min(last, byteCount - 1) + 1))
        }
    }
}
