import Embeddings
import JSON
import NIOCore

/// One server-sent event of `/v1/live`: a name and one line of JSON.
enum LiveEvent {
    /// What the server is, once at the start: the answer of `/info`.
    static func hello(_ info: JSONValue) -> ByteBuffer { event("hello", Array(info.serialized.utf8)) }

    static func jobs(_ jobs: JSONValue) -> ByteBuffer { event("jobs", Array(jobs.serialized.utf8)) }

    /// - Parameter origin: where the event's milliseconds begin.
    static func activity(
        _ activity: BatchingActivity, rates: RateWindow.Rates, since origin: ContinuousClock.Instant
    ) -> ByteBuffer {
        var bytes = Array(#"{"now_ms":\#(milliseconds(origin.duration(to: activity.moment))),"passes":"#.utf8)
        write(activity.passes, since: origin, to: &bytes)
        bytes.append(contentsOf: #","running":"#.utf8)
        write(activity.runningPasses, since: origin, to: &bytes)
        let lanes = Lane.allCases.map { lane in (lane.word, json(activity.lanes[lane])) }
        let totals = activity.totals
        let rest: KeyValuePairs<String, JSONValue> = [
            "missed_passes": number(activity.missedPassCount),
            "lanes": object(lanes),
            "active_requests": number(activity.callCount),
            "admitted_tokens": number(activity.admittedTokenCount),
            "texts_per_second": rounded(rates.textsPerSecond),
            "tokens_per_second": rounded(rates.tokensPerSecond),
            "texts_per_pass": rounded(rates.textsPerPass),
            "tokens_per_pass": rounded(rates.tokensPerPass),
            "real_share": rounded(rates.realShare, to: 10_000),
            "totals": [
                "passes": number(totals.passCount), "texts": number(totals.textCount),
                "tokens": number(totals.tokenCount), "rectangle_tokens": number(totals.rectangleTokenCount),
            ],
            "refused": object(totals.refusals.sorted { $0.key < $1.key }.map { ($0.key, number($0.value)) }),
            "dropped": ["waiting": number(totals.droppedTextCount), "running": number(totals.discardedTextCount)],
        ]
        for (key, value) in rest {
            bytes.append(contentsOf: #","\#(key)":"#.utf8)
            value.write(to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
        return event("activity", bytes)
    }

    private static func event(_ name: String, _ data: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(data.count + 32)
        buffer.writeString("event: \(name)\ndata: ")
        buffer.writeBytes(data)
        buffer.writeString("\n\n")
        return buffer
    }

    /// Written by hand: hundreds of passes four times a second would keep a parsed value's members busy.
    private static func write(
        _ passes: [PassRecord], since origin: ContinuousClock.Instant, to bytes: inout [UInt8]
    ) {
        bytes.append(UInt8(ascii: "["))
        for (index, pass) in passes.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            let start = milliseconds(origin.duration(to: pass.startedAt))
            let duration = pass.duration.map { "\(milliseconds($0))" } ?? "null"
            bytes.append(
                contentsOf: #"{"pass":\#(pass.number),"thread":\#(pass.thread),"lane":"\#(pass.lane.word)","#.utf8)
            bytes.append(contentsOf: #""shared":\#(pass.isShared),"interlude":\#(pass.isInterlude),"#.utf8)
            bytes.append(contentsOf: #""start_ms":\#(start),"ms":\#(duration),"#.utf8)
            bytes.append(contentsOf: #""texts":\#(pass.sequenceCount),"tokens":\#(pass.tokenCount),"#.utf8)
            bytes.append(contentsOf: #""width":\#(pass.width),"lengths":["#.utf8)
            for (place, length) in pass.lengths.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(contentsOf: "\(length)".utf8)
            }
            bytes.append(contentsOf: "]}".utf8)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private static func json(_ load: LaneLoad?) -> JSONValue {
        [
            "texts": number(load?.textCount ?? 0), "tokens": number(load?.tokenCount ?? 0),
            "oldest_ms": load?.oldestAge.map { .number(JSONNumber(milliseconds($0))) } ?? .null,
        ]
    }

    private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        var object = JSONObject()
        for (key, value) in members { object[key] = value }
        return .object(object)
    }

    private static func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }

    private static func rounded(_ value: Double?, to parts: Double = 100) -> JSONValue {
        value.map { .number(JSONNumber(($0 * parts).rounded() / parts)) } ?? .null
    }

    /// To the hundredth.
    private static func milliseconds(_ duration: Duration) -> Double {
        (duration / .milliseconds(1) * 100).rounded() / 100
    }
}

extension Lane {
    /// As `priority` spells it.
    fileprivate var word: String {
        switch self {
        case .interactive: "interactive"
        case .bulk: "bulk"
        }
    }
}
