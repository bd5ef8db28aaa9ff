package import NIOCore

/// Cuts a byte stream into lines as it arrives, holding at most one line's limit of it.
package struct LineSplitter {
    package enum Line: Equatable {
        case text(ByteBuffer)
        /// Longer than the limit; its bytes were dropped as they came.
        case tooLong
    }

    private let limit: Int
    private var partial = ByteBuffer()
    /// The current line is over the limit: everything up to its end is dropped.
    private var isSkipping = false

    package init(limit: Int) {
        self.limit = limit
    }

    /// Of the line whose end has not come.
    var heldBytes: Int { partial.readableBytes }

    /// Takes the next line out of `buffer`, or all of it where the line does not end there.
    package mutating func next(from buffer: inout ByteBuffer) -> Line? {
        let available = buffer.readableBytesView
        guard let end = available.firstIndex(of: UInt8(ascii: "\n")) else {
            append(&buffer, length: buffer.readableBytes)
            return nil
        }
        append(&buffer, length: end - available.startIndex)
        buffer.moveReaderIndex(forwardBy: 1)
        return take()
    }

    /// The last line, where it has no newline; nil where nothing is left.
    package mutating func finish() -> Line? {
        isSkipping || partial.readableBytes > 0 ? take() : nil
    }

    private mutating func append(_ buffer: inout ByteBuffer, length: Int) {
        if !isSkipping, partial.readableBytes + length > limit {
            isSkipping = true
            partial = ByteBuffer()
        }
        if isSkipping {
            buffer.moveReaderIndex(forwardBy: length)
        } else if var slice = buffer.readSlice(length: length) {
            partial.writeBuffer(&slice)
        }
    }

    private mutating func take() -> Line {
        defer {
            partial = ByteBuffer()
            isSkipping = false
        }
        return isSkipping ? .tooLong : .text(partial)
    }
}

extension ByteBuffer {
    var isBlank: Bool {
        readableBytesView.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    }
}
