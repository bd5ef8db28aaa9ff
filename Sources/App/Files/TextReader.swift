import Foundation
package import JSON

/// One text of an input file.
package struct TextLine: Sendable, Equatable {
    /// As the file gives it, a string or a number; else the line's 0-based number.
    package let id: JSONValue
    package let text: String
}

/// Reads texts line by line at bounded memory: NDJSON if the first line that is not blank is an object with `text`, else
/// each line is a text.
package struct TextReader: ~Copyable {
    package enum BlankLines { case keep, skip }

    /// A longer line is refused.
    static let maximumLineByteCount = 64 << 20

    private enum Format { case objects, lines }

    private let file: FileHandle
    private let blankLines: BlankLines
    private var buffer = Data()
    private var isAtEnd = false
    private var lineNumber = 0
    /// Bytes of the lines that were handed out.
    private(set) var consumedByteCount = 0
    private var format: Format?

    /// - Parameter path: `-` for standard input.
    package init(path: String, blankLines: BlankLines) throws(CommandFailure) {
        if path == "-" {
            file = .standardInput
        } else {
            var isDirectory: ObjCBool = false
            if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
                throw .failed("the input '\(path)' is a folder")
            }
            guard let opened = FileHandle(forReadingAtPath: path) else {
                throw .failed("cannot read the input '\(path)': \(String(cString: strerror(errno)))")
            }
            file = opened
        }
        self.blankLines = blankLines
    }

    /// The next text, nil at the end.
    package mutating func next() throws(CommandFailure) -> TextLine? {
        while let line = try nextLine() {
            let number = lineNumber
            lineNumber += 1
            guard let text = String(validating: line, as: UTF8.self) else {
                throw .failed("line \(number + 1) of the input is not valid UTF-8")
            }
            if text.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
                if blankLines == .keep {
                    return TextLine(id: .number(JSONNumber(number)), text: format == .objects ? "" : text)
                }
                continue
            }
            if format == nil {
                let value = try? JSONValue(parsing: text)  // a line that is not JSON is a plain text
                format = value?.object?["text"] != nil ? .objects : .lines
            }
            switch format {
            case .objects: return try parse(text, number: number)
            case .lines, nil: return TextLine(id: .number(JSONNumber(number)), text: text)
            }
        }
        return nil
    }

    /// Everything that is left.
    package mutating func rest() throws(CommandFailure) -> [TextLine] {
        var all: [TextLine] = []
        while let line = try next() { all.append(line) }
        return all
    }

    private func parse(_ line: String, number: Int) throws(CommandFailure) -> TextLine {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: line)
        } catch {
            throw .failed("line \(number + 1) of the input is not JSON: \(error)")
        }
        guard let object = value.object else { throw .failed("line \(number + 1) of the input is not a JSON object") }
        let id: JSONValue
        switch object["id"] {
        case nil: id = .number(JSONNumber(number))
        case .string(let text): id = .string(text)
        case .number(let given): id = .number(given)
        default: throw .failed("line \(number + 1) of the input: id must be a string or a number")
        }
        switch object["text"] {
        case .string(let text): return TextLine(id: id, text: text)
        case .malformed(let reason): throw .failed("line \(number + 1) of the input: text is \(reason)")
        case let other:
            throw .failed("line \(number + 1) of the input: text must be a string, not \(other?.typeName ?? "missing")")
        }
    }

    private mutating func nextLine() throws(CommandFailure) -> Data? {
        var searchStart = buffer.startIndex
        while true {
            if let newline = buffer[searchStart...].firstIndex(of: 0x0A) {
                let line = buffer[buffer.startIndex..<newline]
                consumedByteCount += line.count + 1
                buffer = buffer[(newline + 1)...]
                return line
            }
            if isAtEnd {
                guard !buffer.isEmpty else { return nil }
                defer { buffer = Data() }
                return buffer
            }
            guard buffer.count <= Self.maximumLineByteCount else {
                throw .failed("line \(lineNumber + 1) of the input is longer than \(Self.maximumLineByteCount) bytes")
            }
            searchStart = buffer.endIndex
            let chunk: Data?
            do {
                chunk = try file.read(upToCount: 1 << 18)
            } catch {
                throw .failed("cannot read the input: \(error.localizedDescription)")
            }
            if let chunk, !chunk.isEmpty {
                // A fresh buffer lets go of the lines before.
                let unread = buffer.count
                buffer = Data(buffer) + chunk
                searchStart = buffer.startIndex + unread
            } else {
                isAtEnd = true
            }
        }
    }
}
