import CLibPQ
import Glibc

/// The one door to libpq, which blocks and knows nothing of Swift's concurrency.
enum LibPQ {
    /// The keywords and values of a URL or of `keyword=value` pairs.
    static func parseConnectionString(_ string: String) throws(PostgresError) -> [String: String] {
        guard !string.utf8.contains(0) else { throw .configuration("the database URL holds a NUL") }
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(string, &message)
        defer {
            PQconninfoFree(options)
            PQfreemem(message)
        }
        guard var option = options else {
            throw .configuration("the database URL cannot be read: \(redacted(text(message)))")
        }
        var parameters: [String: String] = [:]
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { parameters[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return parameters
    }

    /// libpq quotes what it cannot read, which may be part of a password; only option names are let through.
    private static func redacted(_ message: String) -> String {
        if message.hasPrefix("invalid connection option") || message.hasPrefix("invalid URI query parameter") {
            return message
        }
        return message.prefix { $0 != "\"" } + "…"
    }

    /// A message of libpq's on one line.
    fileprivate static func text(_ message: UnsafePointer<CChar>?) -> String {
        guard let message else { return "out of memory" }
        return String(cString: message).split(separator: "\n").joined(separator: " ")
    }
}

/// A message that ends one step of a command's answer.
enum Reply: Sendable {
    case result(PostgresResult)
    case error(PostgresError)
    /// A statement of a pipeline that was skipped because one before it failed.
    case skipped
    /// The end of a pipeline.
    case synchronized
}

/// How long to wait for the server, and what may cut the wait short.
struct Patience {
    var deadline: ContinuousClock.Instant
    var interrupter: Interrupter?
}

/// An open connection; closed when it goes.
///
/// Unchecked: libpq allows any thread to use a connection, one at a time, and a value that cannot be copied has one owner.
struct LibPQConnection: ~Copyable, @unchecked Sendable {
    private let raw: OpaquePointer

    private init(raw: OpaquePointer) {
        self.raw = raw
    }

    deinit {
        // Sends its farewell without blocking, since the connection is in non-blocking mode.
        PQfinish(raw)
    }

    /// Connects. Name resolution inside libpq blocks and heeds no deadline; everything after it does.
    static func connect(_ parameters: [String: String], patience: Patience) throws(PostgresError) -> LibPQConnection {
        let connection = try start(parameters)
        var progress = PGRES_POLLING_WRITING
        while progress != PGRES_POLLING_OK {
            guard progress != PGRES_POLLING_FAILED, PQstatus(connection.raw) != CONNECTION_BAD else {
                throw .connecting(message: LibPQ.text(PQerrorMessage(connection.raw)))
            }
            let events = progress == PGRES_POLLING_READING ? POLLIN : POLLOUT
            try connection.wait(for: events, patience: patience)
            progress = PQconnectPoll(connection.raw)
        }
        guard PQsetnonblocking(connection.raw, 1) == 0 else { throw connection.lost() }
        _ = PQsetErrorVerbosity(connection.raw, PQERRORS_DEFAULT)
        return connection
    }

    private static func start(_ parameters: [String: String]) throws(PostgresError) -> LibPQConnection {
        let pairs = parameters.sorted { $0.key < $1.key }
        let keywords = pairs.map { strdup($0.key) }
        let values = pairs.map { strdup($0.value) }
        defer { for pointer in keywords + values { free(pointer) } }
        // Both lists end with a null pointer.
        let raw = PQconnectStartParams(
            keywords.map { UnsafePointer($0) } + [nil], values.map { UnsafePointer($0) } + [nil], 0)
        guard let raw else { throw .unavailable("out of memory") }
        let connection = LibPQConnection(raw: raw)
        // The default writes notices to standard error.
        _ = PQsetNoticeReceiver(raw, { _, _ in }, nil)
        // While there is no connection, the message is the only place where libpq shows the SQLSTATE.
        _ = PQsetErrorVerbosity(raw, PQERRORS_VERBOSE)
        return connection
    }

    /// 10000 × major + minor.
    var serverVersion: Int { Int(PQserverVersion(raw)) }

    var processID: Int32 { PQbackendPID(raw) }

    /// Whether a command can be sent now.
    var isReady: Bool {
        guard PQstatus(raw) == CONNECTION_OK, PQpipelineStatus(raw) == PQ_PIPELINE_OFF else { return false }
        let status = PQtransactionStatus(raw)
        return status == PQTRANS_IDLE || status == PQTRANS_INTRANS || status == PQTRANS_INERROR
    }

    var isInPipeline: Bool { PQpipelineStatus(raw) != PQ_PIPELINE_OFF }

    /// Whether a transaction block is open, failed or not.
    var isInTransaction: Bool { PQtransactionStatus(raw) != PQTRANS_IDLE }

    /// Whether the connection was lost, rather than only slow.
    var isLost: Bool { PQstatus(raw) == CONNECTION_BAD }

    /// Notices a peer that closed the connection while it was idle.
    func isAlive() -> Bool {
        var descriptor = pollfd(fd: PQsocket(raw), events: Int16(POLLIN), revents: 0)
        while descriptor.fd >= 0, poll(&descriptor, 1, 0) > 0 {
            // Besides its end, an idle server sends notices and changed settings.
            guard PQconsumeInput(raw) == 1 else { return false }
            _ = PQisBusy(raw)
            if Int32(descriptor.revents) & (POLLHUP | POLLERR | POLLNVAL) != 0 { return false }
        }
        return isReady
    }

    func cancelKey() -> CancelKey? {
        PQgetCancel(raw).map(CancelKey.init(raw:))
    }
}

// MARK: - Commands

extension LibPQConnection {
    /// Sends one statement through the extended protocol, unnamed, with binary parameters and results.
    func send(_ statement: PostgresStatement) throws(PostgresError) {
        let sql = statement.sql
        let parameters = statement.parameters
        try refuseNUL(in: sql)
        guard parameters.count <= 65_535 else { throw tooLarge("more than 65,535 parameters") }
        // Starts with a byte of its own, so that an empty value is not a null pointer.
        var storage: [UInt8] = [0]
        storage.reserveCapacity(1 + parameters.reduce(0) { $0 + ($1.bytes?.count ?? 0) })
        var lengths: [Int32] = []
        for parameter in parameters {
            let bytes = parameter.bytes ?? []
            guard bytes.count < 1 << 30 else { throw tooLarge("a parameter of 1 GiB or more") }
            lengths.append(Int32(bytes.count))
            storage += bytes
        }
        let isSent = storage.withUnsafeBytes { buffer in
            var position = 1
            let values = zip(parameters, lengths).map { parameter, length -> UnsafePointer<CChar>? in
                defer { position += Int(length) }
                guard parameter.bytes != nil, let base = buffer.baseAddress else { return nil }
                return (base + position).assumingMemoryBound(to: CChar.self)
            }
            let formats = [Int32](repeating: 1, count: parameters.count)
            return PQsendQueryParams(
                raw, sql, Int32(parameters.count), parameters.map(\.typeOID), values, lengths, formats, 1)
        }
        guard isSent == 1 else { throw lost() }
    }

    /// Sends any number of statements through the simple protocol.
    func sendScript(_ sql: String) throws(PostgresError) {
        try refuseNUL(in: sql)
        guard PQsendQuery(raw, sql) == 1 else { throw lost() }
    }

    func enterPipeline() throws(PostgresError) {
        guard PQenterPipelineMode(raw) == 1 else { throw lost() }
    }

    /// Ends a pipeline; its answer is `Reply.synchronized`.
    func synchronize() throws(PostgresError) {
        guard PQpipelineSync(raw) == 1 else { throw lost() }
    }

    func exitPipeline() throws(PostgresError) {
        guard PQexitPipelineMode(raw) == 1 else { throw lost() }
    }

    /// The next part of the answer; nil where a statement's answer is complete.
    func nextReply(_ patience: Patience) throws(PostgresError) -> Reply? {
        while PQisBusy(raw) == 1 {
            let isFlushed = PQflush(raw)
            guard isFlushed >= 0 else { throw lost() }
            let events = try wait(for: isFlushed == 1 ? POLLIN | POLLOUT : POLLIN, patience: patience)
            if events != POLLOUT, PQconsumeInput(raw) == 0 { throw lost() }
        }
        guard let result = PQgetResult(raw) else { return nil }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return .result(PostgresResult(copying: result))
        case PGRES_PIPELINE_SYNC: return .synchronized
        case PGRES_PIPELINE_ABORTED: return .skipped
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            // Leaves the connection busy, so that it is not used again.
            throw .server(PostgresServerError(code: "0A000", message: "COPY is not supported"))
        default:
            guard let error = PostgresServerError(copying: result) else {
                return .error(.unavailable(LibPQ.text(PQresultErrorMessage(result))))
            }
            return .error(PostgresError.classify(error))
        }
    }

    /// The payloads of the notifications that have arrived and were not taken yet; where there are none, those that come
    /// before the deadline.
    func notifications(_ patience: Patience) throws(PostgresError) -> [String] {
        while true {
            var payloads: [String] = []
            while let notification = PQnotifies(raw) {
                payloads.append(String(cString: notification.pointee.extra))
                PQfreemem(notification)
            }
            guard payloads.isEmpty else { return payloads }
            let socket = PQsocket(raw)
            guard socket >= 0 else { throw lost() }
            switch Poll.wait(for: POLLIN, on: socket, patience: patience) {
            case .ready: guard PQconsumeInput(raw) == 1 else { throw lost() }
            case .interrupted: throw .cancelled
            case .timedOut: return []
            }
        }
    }

    /// Sleeps until the socket is ready, and says for what.
    @discardableResult
    private func wait(for events: Int32, patience: Patience) throws(PostgresError) -> Int32 {
        let socket = PQsocket(raw)
        guard socket >= 0 else { throw lost() }
        switch Poll.wait(for: events, on: socket, patience: patience) {
        case .ready(let ready): return ready
        case .interrupted: throw .cancelled
        case .timedOut: throw .unavailable("the database did not answer in time")
        }
    }

    private func lost() -> PostgresError {
        let message = LibPQ.text(PQerrorMessage(raw))
        return .unavailable(message.isEmpty ? "the connection was lost" : message)
    }

    private func refuseNUL(in sql: String) throws(PostgresError) {
        guard !sql.utf8.contains(0) else {
            throw .server(PostgresServerError(code: "22021", message: "a NUL in a statement"))
        }
    }

    private func tooLarge(_ what: String) -> PostgresError {
        .server(PostgresServerError(code: "54000", message: what))
    }
}

/// What it takes to ask the server to stop what a connection is doing.
///
/// Unchecked: libpq makes it for use from other threads, and never changes it.
final class CancelKey: @unchecked Sendable {
    private let raw: OpaquePointer

    fileprivate init(raw: OpaquePointer) {
        self.raw = raw
    }

    deinit {
        PQfreeCancel(raw)
    }

    /// Asks, and returns once the server has taken note. Blocks, without limit where the server stands still.
    func send() {
        var message = [CChar](repeating: 0, count: 256)
        // Whether it was heard shows in the cancelled statement's own answer.
        _ = PQcancel(raw, &message, Int32(message.count))
    }
}

extension PostgresResult {
    fileprivate init(copying result: OpaquePointer) {
        let columnCount = PQnfields(result)
        let rowCount = PQntuples(result)
        var storage: [UInt8] = []
        var cells: [Range<Int>?] = []
        cells.reserveCapacity(Int(columnCount) * Int(rowCount))
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else {
                    cells.append(nil)
                    continue
                }
                let start = storage.count
                let length = Int(PQgetlength(result, row, column))
                storage.append(contentsOf: UnsafeRawBufferPointer(start: value, count: length))
                cells.append(start..<start + length)
            }
        }
        self.init(
            columns: (0..<columnCount).map { column in
                Column(name: LibPQ.text(PQfname(result, column)), typeOID: PQftype(result, column))
            },
            rowCount: Int(rowCount), storage: storage, cells: cells,
            affectedRowCount: Int(LibPQ.text(PQcmdTuples(result))) ?? 0)
    }
}

extension PostgresServerError {
    /// Nil where libpq, not the server, made the error.
    fileprivate init?(copying result: OpaquePointer) {
        func field(_ code: Int32) -> String? { PQresultErrorField(result, code).map { String(cString: $0) } }
        guard let code = field(ovenbird_diagnostic_sqlstate) else { return nil }
        self.init(
            code: code, message: field(ovenbird_diagnostic_message) ?? "",
            detail: field(ovenbird_diagnostic_detail), hint: field(ovenbird_diagnostic_hint),
            constraint: field(ovenbird_diagnostic_constraint), table: field(ovenbird_diagnostic_table))
    }
}
