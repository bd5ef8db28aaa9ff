import Crypto
import Embeddings
import HummingbirdCore
import JSON
import NIOCore

/// A body's lines one by one, at the memory of one line and one part, with the digest of all its bytes.
struct BodyLines {
    private var body: BodyReader
    private var splitter: LineSplitter
    private var part = ByteBuffer()
    private var digest: SHA256?
    private let permit: BodyPermit
    private var hasEnded = false
    /// What the reader of the lines holds of them.
    var heldBytes = 0

    /// - Parameter digest: what is known of the request so far; nil where nobody asks for it.
    init(_ request: Request, maximumLineBytes: Int, digest: SHA256?, permit: BodyPermit) {
        body = BodyReader(request.body)
        splitter = LineSplitter(limit: maximumLineBytes)
        self.digest = digest
        self.permit = permit
    }

    /// The next line that is not blank.
    mutating func next() async throws(APIError) -> LineSplitter.Line? {
        while true {
            if let line = splitter.next(from: &part) {
                if line.isBlank { continue }
                return line
            }
            guard !hasEnded else { return nil }
            if let next = try await nextPart() {
                part = next
            } else {
                hasEnded = true
                guard let line = splitter.finish(), !line.isBlank else { return nil }
                return line
            }
        }
    }

    /// Reads the rest for its digest alone.
    mutating func skip() async throws(APIError) {
        while try await nextPart() != nil {}
    }

    /// - Precondition: everything was read, and a digest was asked for.
    var hash: RequestHash? { digest.map { RequestHash(bytes: Array($0.finalize())) } }

    private mutating func nextPart() async throws(APIError) -> ByteBuffer? {
        guard let part = try await body.next() else { return nil }
        digest?.update(part)
        do throws(RequestError) {
            try permit.hold(splitter.heldBytes + part.readableBytes + heldBytes)
        } catch { throw APIError(error) }
        return part
    }
}

extension SHA256 {
    fileprivate mutating func update(_ buffer: ByteBuffer) {
        buffer.withUnsafeReadableBytes { update(bufferPointer: $0) }
    }

    /// A parameter, told from its neighbours by its length.
    mutating func update(parameter: String?) {
        update(data: Array((parameter.map { "\($0.utf8.count):\($0)," } ?? "-,").utf8))
    }
}

extension LineSplitter.Line {
    fileprivate var isBlank: Bool {
        switch self {
        case .tooLong: false
        case .text(let buffer): buffer.isBlank
        }
    }

    /// About what it takes of memory once it is an input.
    var byteCount: Int {
        switch self {
        case .tooLong: 256
        case .text(let buffer): 64 + buffer.readableBytes
        }
    }
}

/// Makes inputs of lines: `{"id"?,"text","metadata"?}`; other members are ignored.
struct JobLineReader {
    let parser: BodyParser
    let maximumLineBytes: Int
    let maximumTextBytes: Int
    /// Metadata is checked in any case, and kept where documents are.
    let keepsMetadata: Bool

    func read(_ line: LineSplitter.Line, at index: Int) async -> JobInput {
        switch line {
        case .tooLong: return invalid("the line is longer than \(maximumLineBytes) bytes", at: index)
        case .text(let buffer):
            do throws(JSONError) {
                // Most lines are short, and a short line needs no thread of its own.
                return buffer.readableBytes > BodyParser.longBodyBytes
                    ? input(try await parser.parse(buffer).get(), at: index)
                    : input(try JSONValue(parsing: buffer.readableBytesUInt8Span), at: index)
            } catch {
                return invalid("the line is not valid JSON: \(error)", at: index)
            }
        }
    }

    private func input(_ value: JSONValue, at index: Int) -> JobInput {
        do throws(DocumentError) {
            let object = try DocumentReader.object(value)
            let id =
                switch object["id"] {
                case nil, .null: String(index)
                case let value: try DocumentReader.identifier(value)
                }
            let content = try DocumentReader.content(of: object, id: id, maximumTextBytes: maximumTextBytes)
            let metadata = keepsMetadata ? content.metadata : JSONObject()
            return JobInput(id: id, content: .success(.init(text: content.text, metadata: metadata)))
        } catch {
            return invalid(error.reason, id: error.id, at: index)
        }
    }

    private func invalid(_ reason: String, id: String? = nil, at index: Int) -> JobInput {
        JobInput(
            id: id ?? String(index), content: .failure(ItemError(code: "invalid_line", message: reason)))
    }
}
