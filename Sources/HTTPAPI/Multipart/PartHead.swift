/// What a part's headers say of it: `Content-Disposition: form-data; name="file"; filename="lines.jsonl"`. Its other
/// headers mean nothing here.
package struct PartHead: Equatable, Sendable {
    /// The form field.
    package let name: String
    /// Nil: the part is a plain value.
    package let fileName: String?

    package init(name: String, fileName: String? = nil) {
        self.name = name
        self.fileName = fileName
    }

    init(lines: some Sequence<[UInt8]>) throws(MultipartParser.Failure) {
        var fields: [[UInt8]] = []
        for line in lines {
            if line.first == 0x20 || line.first == 0x09 {
                // A line that goes on (RFC 5322, 2.2.3).
                guard !fields.isEmpty else { throw .malformedHeader }
                fields[fields.count - 1] += line
            } else {
                fields.append(line)
            }
        }
        for field in fields {
            guard let colon = field.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { throw .malformedHeader }
            let name = String(decoding: field[..<colon], as: UTF8.self)
            guard name.lowercased() == "content-disposition" else { continue }
            let value = HeaderParameters(field[(colon + 1)...])
            guard value.essence == "form-data", let name = value["name"] else { throw .dispositionMissing }
            self.init(name: name.formDecoded, fileName: value.extended("filename") ?? value["filename"]?.formDecoded)
            return
        }
        throw .dispositionMissing
    }
}

/// `essence; name=value; name="quoted value"`, as `Content-Type` and `Content-Disposition` are written. Forgiving: a
/// parameter that cannot be read ends the list.
struct HeaderParameters {
    /// In lower case.
    let essence: String
    private var values: [(name: String, value: String)] = []

    init(_ text: some Collection<UInt8>) {
        let bytes = Array(text)
        var position = bytes.firstIndex(of: UInt8(ascii: ";")) ?? bytes.endIndex
        essence = Self.text(bytes[..<position]).lowercased()
        while position < bytes.endIndex {
            position += 1  // ';'
            guard let equals = bytes[position...].firstIndex(of: UInt8(ascii: "=")) else { return }
            let name = Self.text(bytes[position..<equals]).lowercased()
            position = equals + 1
            while position < bytes.endIndex, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
            var value: [UInt8] = []
            if position < bytes.endIndex, bytes[position] == UInt8(ascii: "\"") {
                guard let end = Self.readQuoted(bytes, from: position + 1, into: &value) else { return }
                position = bytes[end...].firstIndex(of: UInt8(ascii: ";")) ?? bytes.endIndex
                values.append((name, String(decoding: value, as: UTF8.self)))
            } else {
                let end = bytes[position...].firstIndex(of: UInt8(ascii: ";")) ?? bytes.endIndex
                values.append((name, Self.text(bytes[position..<end])))
                position = end
            }
        }
    }

    /// The first value of that name.
    subscript(name: String) -> String? { values.first { $0.name == name }?.value }

    /// `name*=UTF-8''percent-encoded` (RFC 8187); nil where there is none that can be read.
    func extended(_ name: String) -> String? {
        guard let value = self[name + "*"] else { return nil }
        let parts = value.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].lowercased() == "utf-8" else { return nil }
        return PercentCoding.decode(parts[2].utf8, plus: .literal)
    }

    /// Where the closing quote's successor is; nil without one. A backslash stands for itself unless it escapes a quote or
    /// a backslash: some senders put whole Windows paths there.
    private static func readQuoted(_ bytes: [UInt8], from start: Int, into value: inout [UInt8]) -> Int? {
        var position = start
        while position < bytes.endIndex {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""): return position + 1
            case UInt8(ascii: "\\")
            where position + 1 < bytes.endIndex
                && (bytes[position + 1] == UInt8(ascii: "\"") || bytes[position + 1] == UInt8(ascii: "\\")):
                value.append(bytes[position + 1])
                position += 2
            default:
                value.append(byte)
                position += 1
            }
        }
        return nil
    }

    /// Without the white space around it.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let start = bytes.firstIndex { !isSpace($0) } ?? bytes.endIndex
        let end = bytes.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? start
        return String(decoding: bytes[start..<max(start, end)], as: UTF8.self)
    }
}

extension HeaderParameters {
    /// The boundary of a `multipart/form-data` body: 1 to 70 of RFC 2046's characters, not ending in a space.
    static func boundary(ofContentType value: String) -> String? {
        let parameters = HeaderParameters(value.utf8)
        guard parameters.essence == "multipart/form-data", let boundary = parameters["boundary"] else { return nil }
        let punctuation = Array("'()+_,-./:=? ".utf8)
        let isAllowed = boundary.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: punctuation.contains(byte)
            }
        }
        guard isAllowed, (1...70).contains(boundary.utf8.count), !boundary.hasSuffix(" ") else { return nil }
        return boundary
    }
}

extension String {
    /// Undoes what browsers do to names in forms (WHATWG HTML, "multipart form data"): quotes and line ends as escapes.
    fileprivate var formDecoded: String {
        guard contains("%") else { return self }
        var result = ""
        var rest = self[...]
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            rest = rest[percent...]
            switch rest.prefix(3).uppercased() {
            case "%22": result += "\""
            case "%0D": result += "\r"
            case "%0A": result += "\n"
            default: result += rest.prefix(1)
            }
            rest = ["%22", "%0D", "%0A"].contains(rest.prefix(3).uppercased()) ? rest.dropFirst(3) : rest.dropFirst()
        }
        return result + rest
    }
}
