import Crypto

/// One step of the schema: a file `0001_name.sql` of `Migrations/`.
package struct Migration: Sendable, Equatable {
    package let version: Int
    package let name: String
    /// As the file holds it, with LF line ends.
    package let sql: String
    /// Whether the file runs in one transaction; false with the header line `-- no-transaction`, for statements such as
    /// `CREATE INDEX CONCURRENTLY`. Such a file holds one statement, which may be run again after it was cut off.
    package let isTransactional: Bool
    /// The oldest binary generation that may still run against a schema with this migration, from the header line
    /// `-- oldest-binary: N`.
    package let oldestBinary: Int

    /// Reads a file's name and text. The header is the comment lines at its beginning; `-- oldest-binary: N` must be one
    /// of them.
    package init(fileName: String, sql: String) throws(MigrationError) {
        func invalid(_ reason: String) -> MigrationError { .invalidFile(name: fileName, reason: reason) }

        guard fileName.hasSuffix(".sql"), let underscore = fileName.firstIndex(of: "_"),
            let version = Int(fileName[..<underscore]), version > 0
        else { throw invalid("its name is not of the form 0001_name.sql") }
        let name = fileName[fileName.index(after: underscore)...].dropLast(4)
        guard !name.isEmpty else { throw invalid("its name is not of the form 0001_name.sql") }
        guard !sql.utf8.contains(0) else { throw invalid("it holds a NUL") }

        let normalised = String(decoding: Migration.normalisedLineEnds(Array(sql.utf8)), as: UTF8.self)
        var isTransactional = true
        var oldestBinary: Int?
        for line in normalised.split(separator: "\n", omittingEmptySubsequences: false) {
            guard line.hasPrefix("--") else { break }
            let words = line.dropFirst(2).split(separator: " ")
            if words == ["no-transaction"] { isTransactional = false }
            if words.first == "oldest-binary:" {
                guard words.count == 2, let number = Int(words[1]), number > 0 else {
                    throw invalid("oldest-binary takes a number")
                }
                oldestBinary = number
            }
        }
        guard let oldestBinary else { throw invalid("its header lacks the line '-- oldest-binary: N'") }
        self.version = version
        self.name = String(name)
        self.sql = normalised
        self.isTransactional = isTransactional
        self.oldestBinary = oldestBinary
    }

    /// `0001_name`.
    package var label: String {
        let digits = String(version)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "_" + name
    }

    /// SHA-256 of the text with LF line ends (32 bytes).
    package var checksum: [UInt8] { Array(SHA256.hash(data: Array(sql.utf8))) }

    private static func normalisedLineEnds(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for (index, byte) in bytes.enumerated() {
            let isCarriageReturn = byte == UInt8(ascii: "\r")
            if isCarriageReturn, index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "\n") { continue }
            result.append(isCarriageReturn ? UInt8(ascii: "\n") : byte)
        }
        return result
    }
}

/// Why the schema could not be brought up to date. Descriptions name migrations and say what is wrong; a database's own
/// words are in `debugDescription`.
package enum MigrationError: Error, Sendable, Equatable {
    case database(PostgresError)
    /// A migration's SQL was refused; it left nothing behind unless it is a no-transaction one.
    case failed(migration: String, PostgresError)
    case invalidFile(name: String, reason: String)
    /// Two files carry the same version, or a version before the last is missing.
    case gap(version: Int)
    /// An applied migration's text is not the file's any more.
    case drifted(migration: String)
    /// The database holds migrations that this binary does not know.
    case newerSchema(migration: String, oldestBinary: Int)
    /// Another migrator held the lock for too long.
    case locked
}

extension MigrationError: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String {
        switch self {
        case .database(let error): error.description
        case .failed(let migration, let error): "migration \(migration) failed: \(error)"
        case .invalidFile(let name, let reason): "migration file \(name): \(reason)"
        case .gap(let version): "migration \(version) is missing, or there twice"
        case .drifted(let migration):
            "migration \(migration) was applied with another text; an applied migration is never edited"
        case .newerSchema(let migration, let oldestBinary):
            """
            the database holds migration \(migration), which this binary does not know; it needs a binary of \
            generation \(oldestBinary) or newer
            """
        case .locked: "another process is migrating this database, and did not finish in time"
        }
    }

    package var debugDescription: String {
        switch self {
        case .database(let error): error.debugDescription
        case .failed(let migration, let error): "migration \(migration) failed: \(error.debugDescription)"
        case .invalidFile, .gap, .drifted, .newerSchema, .locked: description
        }
    }
}
