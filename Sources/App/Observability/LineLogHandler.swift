import Foundation
import JSON
package import Logging
import Synchronization

/// One line an event on standard error, for people or for a log collector.
package struct LineLogHandler: LogHandler {
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
    }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private static let timeFormat = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    private let format: Format
    private let label: String
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes a whole line, its newline included; lines may come from any thread.
    package init(
        label: String, level: Logger.Level, format: Format,
        write: @escaping @Sendable (String) -> Void = { FileHandle.standardError.writeOrLose($0) }
    ) {
        self.label = label
        logLevel = level
        self.format = format
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = metadata
        fields.merge(metadataProvider?.get() ?? [:]) { $1 }
        fields.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error { fields["error"] = "\(error)" }
        let ordered = fields.sorted { $0.key < $1.key }
        let time = Date().formatted(Self.timeFormat)
        switch format {
        case .text:
            let tail = ordered.map { " \($0.key)=\(Self.quotedIfNeeded("\($0.value)"))" }.joined()
            write("\(time) \(event.level.rawValue) \(event.message)\(tail)\n")
        case .json:
            var object = JSONObject()
            object["time"] = .string(time)
            object["level"] = .string(event.level.rawValue)
            object["message"] = .string("\(event.message)")
            for (key, value) in ordered { object[key] = .string("\(value)") }
            write(JSONValue.object(object).serialized + "\n")
        }
    }

    private static func quotedIfNeeded(_ value: String) -> String {
        guard value.isEmpty || value.contains(where: { $0 == " " || $0 == "\"" || $0.isNewline }) else { return value }
        var bytes: [UInt8] = []
        value.writeJSON(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
