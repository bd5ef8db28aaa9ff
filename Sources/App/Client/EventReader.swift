/// Reads `text/event-stream` as it comes (WHATWG HTML, 9.2): the events' names and data; comments are passed over.
package struct EventReader {
    package struct Event: Equatable {
        package let name: String
        package let data: String
    }

    /// More is no event of this service.
    static let maximumEventByteCount = 1 << 20

    private var line: [UInt8] = []
    private var name = ""
    private var data: [String] = []
    private var byteCount = 0
    private var lastWasCarriageReturn = false

    package init() {}

    /// The events that end in these bytes.
    package mutating func read(_ bytes: [UInt8]) throws(ServiceFailure) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            let followsCarriageReturn = lastWasCarriageReturn
            lastWasCarriageReturn = byte == UInt8(ascii: "\r")
            switch byte {
            case UInt8(ascii: "\n") where followsCarriageReturn: break
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                if let event = takeLine() { events.append(event) }
            default:
                byteCount += 1
                guard byteCount <= Self.maximumEventByteCount else {
                    throw .unexpected("an event of more than \(Self.maximumEventByteCount) bytes")
                }
                line.append(byte)
            }
        }
        return events
    }

    private mutating func takeLine() -> Event? {
        defer { line = [] }
        if line.isEmpty {
            defer {
                name = ""
                data = []
                byteCount = 0
            }
            return data.isEmpty ? nil : Event(name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
        }
        if line.first == UInt8(ascii: ":") {
            byteCount -= line.count
            return nil
        }
        let field = line.prefix { $0 != UInt8(ascii: ":") }
        var value = line.dropFirst(field.count + 1)
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        switch String(decoding: field, as: UTF8.self) {
        case "event": name = String(decoding: value, as: UTF8.self)
        case "data": data.append(String(decoding: value, as: UTF8.self))
        default: break
        }
        return nil
    }
}
