import Embeddings
import HTTPTypes
import NIOCore

/// One `POST /v1/files` under way: takes the form's parts as they arrive, stores the file chunk by chunk, and makes it seen
/// when everything is there. Holds a chunk, and what the parser holds.
struct FileUpload {
    private let store: any BatchStore
    private let configuration: HTTPConfiguration
    private let patiently: StorePatience
    private var parser: MultipartParser

    private var part: PartHead?
    private var value: [UInt8] = []
    private var fields: [String: String] = [:]
    /// The file, once its part has begun.
    private(set) var file: FileID?
    private var isFileComplete = false
    private var chunk: [UInt8] = []
    private var chunkCount = 0
    private var byteCount = 0
    private var partCount = 0

    private static let knownFields = ["file", "purpose", "expires_after[anchor]", "expires_after[seconds]"]
    /// Of a value that is no file.
    private static let maximumValueBytes = 1 << 10
    private static let maximumNameBytes = 512

    init(boundary: String, store: any BatchStore, configuration: HTTPConfiguration, clock: any Clock<Duration>) {
        patiently = StorePatience(limit: configuration.jobStorePatience, clock: clock)
        parser = MultipartParser(boundary: boundary)
        self.store = store
        self.configuration = configuration
    }

    /// What is held of the body.
    var heldBytes: Int { chunk.count }

    enum Failure: Error {
        case request(RequestError)
        case storage(StorageError)
    }

    mutating func receive(_ buffer: ByteBuffer) async throws(Failure) {
        parser.feed(buffer)
        while let event = try next() {
            switch event {
            case .partBegan(let head): try await begin(head)
            case .content(let content): try await add(content)
            case .partEnded: try await endPart()
            }
        }
    }

    /// - Returns: the file, which is seen from now on.
    mutating func finish() async throws(Failure) -> StoredFile {
        do throws(MultipartParser.Failure) { try parser.finish() } catch {
            throw .request(.batches(.malformedForm(error)))
        }
        guard let file, isFileComplete else { throw Self.missing("file") }
        guard let purpose = fields["purpose"] else { throw Self.missing("purpose") }
        try checkPurpose(purpose)
        guard byteCount > 0 else { throw .request(.invalidValue(field: "file", reason: "the file is empty")) }
        let lifetime = try lifetime()
        let stored = try await stored { [store] () async throws(StorageError) in
            try await store.completeFile(file, lifetime: lifetime)
        }
        guard let stored else { throw .request(.batches(.uploadLost)) }
        return stored
    }

    // MARK: - Parts

    private mutating func next() throws(Failure) -> MultipartParser.Event? {
        do throws(MultipartParser.Failure) {
            return try parser.next()
        } catch {
            throw .request(.batches(.malformedForm(error)))
        }
    }

    private mutating func begin(_ head: PartHead) async throws(Failure) {
        let isRepeated = head.name == "file" ? file != nil : fields[head.name] != nil
        guard Self.knownFields.contains(head.name) else {
            throw .request(
                .invalidValue(
                    field: String(head.name.prefix(100)),
                    reason: "unknown field; known are \(Self.knownFields.joined(separator: ", "))"))
        }
        guard !isRepeated else {
            throw .request(.invalidValue(field: head.name, reason: "\(head.name) comes twice"))
        }
        part = head
        value = []
        guard head.name == "file" else { return }
        let name = Self.printable(head.fileName ?? "upload")
        guard name.utf8.count <= Self.maximumNameBytes else {
            throw .request(
                .invalidValue(field: "file", reason: "the file's name has more than \(Self.maximumNameBytes) bytes"))
        }
        file = try await stored { [store] () async throws(StorageError) in try await store.beginFile(named: name) }
    }

    private mutating func add(_ content: ByteBuffer) async throws(Failure) {
        guard let part else { return }
        guard part.name == "file" else {
            value.append(contentsOf: content.readableBytesView)
            guard value.count <= Self.maximumValueBytes else {
                throw .request(
                    .invalidValue(
                        field: part.name, reason: "\(part.name) has more than \(Self.maximumValueBytes) bytes"))
            }
            return
        }
        byteCount += content.readableBytes
        guard byteCount <= configuration.maxFileBytes else {
            throw .request(.batches(.fileTooLarge(limit: configuration.maxFileBytes)))
        }
        var rest = content.readableBytesView
        while !rest.isEmpty {
            let taken = rest.prefix(configuration.bytesPerFileChunk - chunk.count)
            chunk.append(contentsOf: taken)
            rest = rest.dropFirst(taken.count)
            if chunk.count == configuration.bytesPerFileChunk { try await storeChunk() }
        }
    }

    private mutating func endPart() async throws(Failure) {
        guard let part else { return }
        self.part = nil
        if part.name == "file" {
            try await storeChunk()
            isFileComplete = true
        } else {
            guard let text = String(validating: value, as: UTF8.self) else {
                throw .request(.invalidValue(field: part.name, reason: "\(part.name) is not UTF-8"))
            }
            fields[part.name] = text
            // Before the file that follows is read.
            if part.name == "purpose" { try checkPurpose(text) }
        }
    }

    private mutating func storeChunk() async throws(Failure) {
        guard !chunk.isEmpty, let file else { return }
        let bytes = chunk
        let number = chunkCount
        chunk.removeAll(keepingCapacity: true)
        chunkCount += 1
        try await stored { [store] () async throws(StorageError) in try await store.append(bytes, as: number, to: file)
        }
    }

    // MARK: - Values

    private func checkPurpose(_ purpose: String) throws(Failure) {
        guard purpose == FilePurpose.batch.rawValue else { throw .request(.batches(.purposeUnsupported(purpose))) }
    }

    private func lifetime() throws(Failure) -> Duration {
        switch (fields["expires_after[anchor]"], fields["expires_after[seconds]"]) {
        case (nil, nil): return configuration.fileLifetime
        case (let anchor?, let seconds?):
            guard anchor == ExpiryRule.anchor else {
                throw .request(.invalidValue(field: "expires_after[anchor]", reason: ExpiryRule.anchorFault))
            }
            guard let number = Int(seconds), ExpiryRule.seconds.contains(number) else {
                throw .request(.invalidValue(field: "expires_after[seconds]", reason: ExpiryRule.secondsFault))
            }
            return .seconds(number)
        case (nil, _): throw Self.missing("expires_after[anchor]")
        case (_, nil): throw Self.missing("expires_after[seconds]")
        }
    }

    private func stored<Result>(
        _ operation: () async throws(StorageError) -> Result
    ) async throws(Failure) -> Result {
        do throws(StorageError) { return try await patiently(operation) } catch { throw .storage(error) }
    }

    private static func missing(_ name: String) -> Failure {
        .request(.invalidValue(field: name, reason: "\(name) is missing"))
    }

    /// Names are shown: without what moves cursors or ends lines.
    private static func printable(_ name: String) -> String {
        let scalars = name.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "_" : $0 }
        let text = String(String.UnicodeScalarView(scalars))
        return text.isEmpty ? "upload" : text
    }
}

/// How long a file may be asked to be kept.
enum ExpiryRule {
    static let anchor = "created_at"
    /// An hour to thirty days.
    static let seconds = 3_600...2_592_000
    static let anchorFault = "anchor must be 'created_at'"
    static let secondsFault = "seconds must be an integer from \(seconds.lowerBound) to \(seconds.upperBound)"
}
