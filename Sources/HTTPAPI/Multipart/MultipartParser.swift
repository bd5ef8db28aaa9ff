package import NIOCore

/// Takes a `multipart/form-data` body (RFC 7578, RFC 2046) apart as it arrives. Holds no more of it than one part's header
/// lines, or a delimiter that is not complete.
///
///     preamble ──delimiter──► headers ──empty line──► content ──delimiter──► headers
///         └──────────────────────────── closing delimiter ────────────────────────► epilogue
package struct MultipartParser {
    package enum Event: Equatable {
        case partBegan(PartHead)
        /// Some of the part's bytes, never empty.
        case content(ByteBuffer)
        case partEnded
    }

    package enum Failure: Error, Equatable {
        case headersTooLong(limit: Int)
        case malformedHeader
        case dispositionMissing
        /// The body ended before the delimiter that closes it.
        case unfinished
    }

    private enum State {
        /// Dropped. Can go to: headers, epilogue.
        case preamble
        /// Can go to: content.
        case headers
        /// Can go to: headers, epilogue.
        case content
        /// Dropped. Final.
        case epilogue
    }

    /// Of one part, with their line ends.
    package static let maximumHeaderBytes = 8 << 10
    /// White space that may follow a delimiter.
    private static let maximumPadding = 64

    /// CRLF, two hyphens, the boundary.
    private let delimiter: [UInt8]
    private var state = State.preamble
    private var held: ByteBuffer
    /// The empty line before the content is still held: where no content follows, it begins the delimiter.
    private var isBehindHeaders = false
    private var lines: [[UInt8]] = []
    private var headerBytes = 0

    package init(boundary: String) {
        delimiter = Array("\r\n--\(boundary)".utf8)
        // A delimiter may be the body's first line.
        held = ByteBuffer(string: "\r\n")
    }

    /// Adds what has arrived.
    package mutating func feed(_ buffer: ByteBuffer) {
        guard held.readableBytes > 0 else {
            held = buffer
            return
        }
        // A new buffer: the old one's beginning has been read.
        var joined = ByteBuffer(bytes: held.readableBytesView)
        joined.writeImmutableBuffer(buffer)
        held = joined
    }

    /// The next event, or nil where more must arrive.
    package mutating func next() throws(Failure) -> Event? {
        while true {
            switch state {
            case .preamble:
                switch scan() {
                case .bytes(let length): held.moveReaderIndex(forwardBy: length)
                case .delimiter(let length, let closes): pass(length, closes: closes)
                case .needsMore: return nil
                }
            case .headers:
                guard try readHeaderLine() else { return nil }
                guard lines.last?.isEmpty == true else { continue }
                let head = try PartHead(lines: lines.dropLast())
                state = .content
                isBehindHeaders = true
                return .partBegan(head)
            case .content:
                switch isBehindHeaders ? match(held.readableBytesView) : scan() {
                case .bytes where isBehindHeaders:
                    isBehindHeaders = false
                    held.moveReaderIndex(forwardBy: 2)
                case .bytes(let length):
                    if let content = held.readSlice(length: length) { return .content(content) }
                case .delimiter(let length, let closes):
                    pass(length, closes: closes)
                    return .partEnded
                case .needsMore: return nil
                }
            case .epilogue:
                held.clear()
                return nil
            }
        }
    }

    /// Tells that nothing more arrives.
    package func finish() throws(Failure) {
        guard case .epilogue = state else { throw .unfinished }
    }

    // MARK: - Delimiters

    private enum Scan {
        /// So many bytes that are no delimiter.
        case bytes(Int)
        /// At once, with its line end.
        case delimiter(length: Int, closes: Bool)
        case needsMore
    }

    private func scan() -> Scan {
        let view = held.readableBytesView
        var index = view.startIndex
        while let found = view[index...].firstIndex(of: UInt8(ascii: "\r")) {
            switch match(view[found...]) {
            case .bytes: index = found + 1
            case .delimiter(let length, let closes):
                return found == view.startIndex
                    ? .delimiter(length: length, closes: closes) : .bytes(found - view.startIndex)
            case .needsMore: return found == view.startIndex ? .needsMore : .bytes(found - view.startIndex)
            }
        }
        return view.isEmpty ? .needsMore : .bytes(view.count)
    }

    /// Whether `bytes` begin with a delimiter; `.bytes(0)` where they do not. A line that goes on behind the boundary with
    /// anything but white space is content.
    private func match(_ bytes: ByteBufferView) -> Scan {
        var position = bytes.startIndex
        for byte in delimiter {
            guard position < bytes.endIndex else { return .needsMore }
            guard bytes[position] == byte else { return .bytes(0) }
            position += 1
        }
        if position < bytes.endIndex, bytes[position] == UInt8(ascii: "-") {
            guard position + 1 < bytes.endIndex else { return .needsMore }
            guard bytes[position + 1] == UInt8(ascii: "-") else { return .bytes(0) }
            // What follows belongs to the epilogue, a line end or not.
            return .delimiter(length: position + 2 - bytes.startIndex, closes: true)
        }
        let paddingStart = position
        while position < bytes.endIndex, bytes[position] == 0x20 || bytes[position] == 0x09 {
            position += 1
            guard position - paddingStart <= Self.maximumPadding else { return .bytes(0) }
        }
        guard position < bytes.endIndex else { return .needsMore }
        guard bytes[position] == UInt8(ascii: "\r") else { return .bytes(0) }
        guard position + 1 < bytes.endIndex else { return .needsMore }
        guard bytes[position + 1] == UInt8(ascii: "\n") else { return .bytes(0) }
        return .delimiter(length: position + 2 - bytes.startIndex, closes: false)
    }

    private mutating func pass(_ length: Int, closes: Bool) {
        held.moveReaderIndex(forwardBy: length)
        state = closes ? .epilogue : .headers
        isBehindHeaders = false
        lines = []
        headerBytes = 0
    }

    // MARK: - Headers

    /// Takes one header line, the empty one included; false where its end has not come.
    private mutating func readHeaderLine() throws(Failure) -> Bool {
        let view = held.readableBytesView
        var end = view.startIndex
        while true {
            guard let found = view[end...].firstIndex(of: UInt8(ascii: "\r")), found + 1 < view.endIndex else {
                guard headerBytes + view.count <= Self.maximumHeaderBytes else {
                    throw .headersTooLong(limit: Self.maximumHeaderBytes)
                }
                return false
            }
            end = found
            if view[found + 1] == UInt8(ascii: "\n") { break }
            end = found + 1
        }
        let line = Array(view[..<end])
        headerBytes += line.count + 2
        guard headerBytes <= Self.maximumHeaderBytes else { throw .headersTooLong(limit: Self.maximumHeaderBytes) }
        if !line.isEmpty { held.moveReaderIndex(forwardBy: line.count + 2) }
        lines.append(line)
        return true
    }
}
