import Foundation
package import JSON

/// A load test's result as a chart needs it, read from what `--json` printed.
package struct LoadResult: Sendable, Equatable {
    package struct SweepPoint: Sendable, Equatable {
        package let users: Int
        package let textsPerSecond: Double
        /// Nil where nothing was answered.
        package let p50: Double?
        package let p99: Double?
    }

    package struct Second: Sendable, Equatable {
        package let second: Int
        package let textCount: Int
        package let refusedCount: Int
        package let p50: Double?
        package let p99: Double?
    }

    package struct Timeline: Sendable, Equatable {
        package let name: String
        package let seconds: [Second]
    }

    package enum Figures: Sendable, Equatable {
        case sweep([SweepPoint])
        case timelines([Timeline])
    }

    package let label: String
    package let model: String
    /// Which kinds of requests it sent, in words.
    package let load: String
    package let figures: Figures

    package static let maximumByteCount = 64 << 20

    /// - Returns: nil where it is no result of a load test.
    package init?(_ object: JSONObject) {
        guard let label = object["label"]?.string, let model = object["model"]?.string else { return nil }
        self.label = label
        self.model = model
        let clients = object["clients"]?.array ?? object["sweep"]?.array?.first?.object?["clients"]?.array ?? []
        load = clients.compactMap { $0.object.flatMap(Self.load) }.joined(separator: ", ")
        if let sweep = object["sweep"]?.array {
            let points = sweep.compactMap { $0.object.flatMap(Self.point) }
            guard points.count == sweep.count else { return nil }
            figures = .sweep(points)
        } else {
            guard let clients = object["clients"]?.array else { return nil }
            let timelines = clients.compactMap { $0.object.flatMap(Self.timeline) }
            guard timelines.count == clients.count else { return nil }
            figures = .timelines(timelines)
        }
    }

    /// The object on the last line of a file.
    package init(path: String) throws(CommandFailure) {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw .failed("cannot read --compare '\(path)': \(String(cString: strerror(errno)))")
        }
        let data: Data
        do {
            data = try handle.read(upToCount: Self.maximumByteCount + 1) ?? Data()
        } catch {
            throw .failed("cannot read --compare '\(path)': \(error.localizedDescription)")
        }
        guard data.count <= Self.maximumByteCount else {
            throw .failed("--compare '\(path)' holds more than \(Self.maximumByteCount) bytes")
        }
        // What it is instead does not matter.
        guard let line = data.split(separator: UInt8(ascii: "\n")).last,
            let object = (try? JSONValue(parsing: [UInt8](line)))?.object, let result = LoadResult(object)
        else {
            throw .failed("--compare '\(path)' is no result of ovenbird loadtest --json")
        }
        self = result
    }

    private static func load(_ client: JSONObject) -> String? {
        guard let name = client["name"]?.string, let count = client["texts_per_request"]?.number?.integer else {
            return nil
        }
        return (name == "all" ? "" : name + ": ") + "requests of \(count) \(count == 1 ? "text" : "texts")"
    }

    private static func point(_ object: JSONObject) -> SweepPoint? {
        guard let users = object["users"]?.number?.integer, let rate = object["texts_per_second"]?.number?.value else {
            return nil
        }
        let latency = object["clients"]?.array?.first?.object?["latency_ms"]?.object
        return SweepPoint(
            users: users, textsPerSecond: rate, p50: latency?["p50"]?.number?.value, p99: latency?["p99"]?.number?.value
        )
    }

    private static func timeline(_ object: JSONObject) -> Timeline? {
        guard let name = object["name"]?.string, let seconds = object["timeline"]?.array else { return nil }
        return Timeline(
            name: name,
            seconds: seconds.compactMap { value in
                guard let second = value.object, let number = second["second"]?.number?.integer,
                    let texts = second["texts"]?.number?.integer, let refused = second["refused"]?.number?.integer
                else { return nil }
                return Second(
                    second: number, textCount: texts, refusedCount: refused, p50: second["p50_ms"]?.number?.value,
                    p99: second["p99_ms"]?.number?.value)
            })
    }
}
